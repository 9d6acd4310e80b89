/* The stand-in's NVML: the questions that Sluice asks, over the same devices. */
#define _GNU_SOURCE
#include "standin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NVML_SUCCESS = 0, NVML_UNINITIALIZED = 1, NVML_INVALID_ARGUMENT = 2, NVML_NOT_SUPPORTED = 3, NVML_NOT_FOUND = 6, NVML_INSUFFICIENT_SIZE = 7, NVML_TIMEOUT = 10 };

struct nvml_device {
  int index;
  int is_instance;
};

static struct nvml_device devices[DEVICES] = {{0, 0}, {1, 0}, {2, 0}, {3, 0}, {4, 0}, {5, 0}, {6, 0}, {7, 0}};
/* With SLUICE_STANDIN_MIG each device that CUDA shows is an instance of a card: it has the other prefix, and tells its memory alone. */
static struct nvml_device instances[DEVICES] = {{0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}, {6, 1}, {7, 1}};
static int is_cut(void) { return getenv("SLUICE_STANDIN_MIG") != NULL; }
static struct {
  struct nvml_device *device;
  unsigned long long xid;
} xids[8];
static int xid_count;
static int watched;

static int started;

#define ASK()                                      \
  do {                                             \
    int injected = standin_injected(__func__);     \
    if (injected != SUCCESS) return injected;      \
    if (!started) return NVML_UNINITIALIZED;       \
  } while (0)

/* SLUICE_STANDIN_NVML is what a machine answers to all that is asked of a card but its memory: 3 for what a virtual one may not know, 4 without the right. */
static int refusal(void) {
  const char *status = getenv("SLUICE_STANDIN_NVML");
  return status == NULL ? NVML_SUCCESS : atoi(status);
}

/* Opens a question that only a card answers. */
#define ASK_CARD()                                        \
  do {                                                    \
    ASK();                                                \
    if (refusal() != NVML_SUCCESS) return refusal();      \
    if (device->is_instance) return NVML_NOT_SUPPORTED;   \
  } while (0)

/* Has a device report an Xid. */
API void standin_xid(int device, unsigned xid) {
  xids[xid_count].device = &devices[device];
  xids[xid_count++].xid = xid;
}

API int nvmlInit_v2(void) {
  started = 1;
  ASK();
  return NVML_SUCCESS;
}

API int nvmlSystemGetDriverVersion(char *text, unsigned bytes) {
  ASK();
  snprintf(text, bytes, "580.65.06");
  return NVML_SUCCESS;
}

API int nvmlDeviceGetCount_v2(unsigned *count) {
  ASK();
  *count = (unsigned)standin_devices();
  return NVML_SUCCESS;
}

API int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct nvml_device **device) {
  ASK();
  if (index >= (unsigned)standin_devices()) return NVML_INVALID_ARGUMENT;
  *device = &devices[index];
  return NVML_SUCCESS;
}

API int nvmlDeviceGetHandleByUUID(const char *uuid, struct nvml_device **device) {
  ASK();
  for (int i = 0; i < standin_devices(); i++) {
    char known[64];
    snprintf(known, sizeof known, "%s-abababab-abab-abab-abab-ababababab%02x", is_cut() ? "MIG" : "GPU", i);
    if (strcmp(known, uuid) != 0) continue;
    *device = is_cut() ? &instances[i] : &devices[i];
    return NVML_SUCCESS;
  }
  return NVML_NOT_FOUND;
}

API int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(struct nvml_device *instance, struct nvml_device **device) {
  ASK();
  if (!instance->is_instance) return NVML_INVALID_ARGUMENT;
  *device = &devices[instance->index];
  return NVML_SUCCESS;
}

struct memory_v2 {
  unsigned version;
  unsigned long long total, reserved, free, used;
};

API int nvmlDeviceGetMemoryInfo_v2(struct nvml_device *device, struct memory_v2 *memory) {
  ASK();
  if (memory->version != (sizeof *memory | 2u << 24)) return NVML_INVALID_ARGUMENT;
  memory->total = DEVICE_BYTES + (64 << 20);
  memory->reserved = 64 << 20;
  memory->used = standin_used(device->index);
  memory->free = DEVICE_BYTES - memory->used;
  return NVML_SUCCESS;
}

struct process {
  unsigned pid;
  unsigned long long used;
  unsigned gpu_instance, compute_instance;
};

API int nvmlDeviceGetComputeRunningProcesses_v3(struct nvml_device *device, unsigned *count, struct process *found) {
  ASK();
  if (refusal() != NVML_SUCCESS) return refusal();
  unsigned room = *count;
  *count = 0;
  unsigned long long used;
  for (int i = 0, pid; (pid = standin_process(device->index, i, &used)) >= 0; i++) {
    if (pid == 0) continue;
    if (*count < room) found[*count] = (struct process){(unsigned)pid, used, ~0u, ~0u};
    ++*count;
  }
  return *count > room ? NVML_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

API int nvmlDeviceGetTemperature(struct nvml_device *device, int sensor, unsigned *value) {
  ASK_CARD();
  *value = 40 + (unsigned)device->index;
  return sensor == 0 ? NVML_SUCCESS : NVML_INVALID_ARGUMENT;
}

API int nvmlDeviceGetPowerUsage(struct nvml_device *device, unsigned *milliwatts) {
  ASK_CARD();
  *milliwatts = 123456 + (unsigned)device->index;
  return NVML_SUCCESS;
}

API int nvmlDeviceGetUtilizationRates(struct nvml_device *device, unsigned *percent) {
  ASK_CARD();
  percent[0] = 37 + (unsigned)device->index;
  percent[1] = 12;
  return NVML_SUCCESS;
}

API int nvmlDeviceGetCurrentClocksEventReasons(struct nvml_device *device, unsigned long long *reasons) {
  ASK_CARD();
  *reasons = device->index == 0 ? 0x1 : 0x4 | 0x40;
  return NVML_SUCCESS;
}

static unsigned long long uncorrected;

API void standin_uncorrected(unsigned count) { uncorrected = count; }

API int nvmlDeviceGetTotalEccErrors(struct nvml_device *device, int type, int counter, unsigned long long *count) {
  ASK_CARD();
  *count = device->index == 0 && type == 1 && counter == 0 ? uncorrected : 0;
  return NVML_SUCCESS;
}

API int nvmlDeviceGetRemappedRows(struct nvml_device *device, unsigned *corrected, unsigned *bad, unsigned *pending, unsigned *failed) {
  ASK_CARD();
  (void)device;
  *corrected = *bad = *pending = *failed = 0;
  return NVML_SUCCESS;
}

API int nvmlDeviceGetEccMode(struct nvml_device *device, unsigned *now, unsigned *pending) {
  ASK_CARD();
  (void)device;
  *now = *pending = 1;
  return NVML_SUCCESS;
}

API int nvmlDeviceGetMigMode(struct nvml_device *device, unsigned *now, unsigned *pending) {
  ASK_CARD();
  (void)device;
  *now = *pending = (unsigned)is_cut();
  return NVML_SUCCESS;
}

API int nvmlDeviceGetP2PStatus(struct nvml_device *a, struct nvml_device *b, int what, int *status) {
  ASK();
  /* The first two are linked. */
  *status = a != b && a->index < 2 && b->index < 2 && what == 2 ? 0 : 5;
  return NVML_SUCCESS;
}

API int nvmlDeviceGetNvLinkState(struct nvml_device *device, unsigned link, unsigned *active) {
  ASK_CARD();
  (void)device;
  *active = link < 4 && device->index < 2;
  return link < 18 ? NVML_SUCCESS : NVML_INVALID_ARGUMENT;
}

struct pci_info {
  char legacy[16];
  unsigned domain, bus, device, id, subsystem;
  char address[32];
};

API int nvmlDeviceGetNvLinkRemotePciInfo_v2(struct nvml_device *device, unsigned link, struct pci_info *info) {
  ASK();
  /* The last link goes elsewhere, to a switch say. */
  snprintf(info->address, sizeof info->address, "00000000:%02X:00.0", link == 3 ? 0x99 : 0x3b + 1 - device->index);
  return NVML_SUCCESS;
}

API int nvmlEventSetCreate(void **set) {
  ASK();
  *set = &watched;
  return NVML_SUCCESS;
}

API int nvmlDeviceRegisterEvents(struct nvml_device *device, unsigned long long types, void *set) {
  ASK_CARD();
  if (set != &watched || types != 8) return NVML_INVALID_ARGUMENT;
  watched |= 1 << device->index;
  return NVML_SUCCESS;
}

struct event_data {
  struct nvml_device *device;
  unsigned long long type, data;
  unsigned instance, compute_instance;
};

API int nvmlEventSetWait_v2(void *set, struct event_data *data, unsigned milliseconds) {
  ASK();
  (void)milliseconds;
  if (set != &watched || xid_count == 0) return NVML_TIMEOUT;
  data->device = xids[--xid_count].device;
  data->type = 8;
  data->data = xids[xid_count].xid;
  return NVML_SUCCESS;
}
