/* Stands for a CUDA runtime that a program brings along: it finds devices that nobody has lent. */
int cudaGetDeviceCount(int *count) {
    *count = 77;
    return 0;
}
