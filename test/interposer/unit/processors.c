/* Of AVAILABLE processors, how many a process may use whose system files are below ROOT (each; none: the system's own): a line for each. */
#include <stdio.h>
#include <stdlib.h>

#include "../../../client/interposer/core/processors.h"

int main(int count, char **arguments) {
    for (int root = 2; root < count; root++) printf("%d\n", processors_within(atoi(arguments[1]), arguments[root]));
    return 0;
}
