/* Loads an image of two megabytes, most of it a comment, twice, and uses both. */
#include "../driver/driver.h"

enum { IMAGE_BYTES = 2 << 20 };

int main(void) {
    CUmodule modules[2];
    CUdeviceptr data;
    unsigned int count = 16, values[16];
    char *image = malloc(IMAGE_BYTES + 1), *at = image;
    at += sprintf(at, "%s//", PTX_ADD_ONE);
    memset(at, 'x', (size_t)(image + IMAGE_BYTES - at));
    image[IMAGE_BYTES - 1] = '\n';
    image[IMAGE_BYTES] = '\0';
    start();
    CHECK(cuMemAlloc_v2(&data, sizeof values));
    CHECK(cuMemsetD8_v2(data, 0, sizeof values));
    void *params[] = {&data, &count};
    for (int i = 0; i < 2; i++) CHECK(launch(load(image, "add_one", &modules[i]), 1, 16, NULL, params));
    CHECK(cuMemcpyDtoH_v2(values, data, sizeof values));
    for (unsigned int i = 0; i < count; i++) EXPECT(values[i] == 2);
    free(image);
    printf("ok\n");
    return 0;
}
