#include "hc_status.h"

static const struct {
    const char *name, *text;
} messages[HC_STATUS_COUNT] = {
    [HC_OK] = {"ok", "done"},
    [HC_PENDING] = {"pending", "not finished yet"},
    [HC_BUSY] = {"busy", "all frames in flight are taken"},
    [HC_E_ARGUMENT] = {"argument", "a call with impossible arguments"},
    [HC_E_MEMORY] = {"memory", "out of memory"},
    [HC_E_SYSTEM] = {"system", "the shared memory could not be opened"},
    [HC_E_DEADLINE] = {"deadline", "the device did not finish before the deadline"},
    [HC_E_DEVICE_LOST] = {"device_lost", "the device went away"},
    [HC_E_DEVICE_FAULT] = {"device_fault", "the device reports a fault"},
    [HC_E_HASH] = {"hash", "the device was built for another package"},
    [HC_E_VERSION] = {"version", "the device speaks another version of the protocol"},
    [HC_E_REGION] = {"region", "a region does not have the ports that the plan states"},
    [HC_E_RUN] = {"run", "the region failed"},
    [HC_E_BAD_DESCRIPTOR] = {"bad_descriptor", "the device refused a damaged command"},
    [HC_E_BAD_STATUS] = {"bad_status", "the device answered with a damaged completion"},
    [HC_E_THREADS] = {"threads", "the system gave no thread: ask for fewer"},
    [HC_E_NO_FAILOVER] = {"no_failover", "the package has no CPU code for the accelerator's regions"},
    [HC_E_NO_NODE] = {"no_node", "the device cannot be opened"},
    [HC_E_IN_USE] = {"in_use", "the device is in use"},
    [HC_E_DMA_MEMORY] = {"dma_memory", "not enough DMA memory"},
    [HC_E_SYNC] = {"sync", "cache maintenance failed"},
};

static int known(hc_status status) { return (int)status >= 0 && status < HC_STATUS_COUNT; }

const char *hc_status_name(hc_status status) { return known(status) ? messages[status].name : "unknown"; }

const char *hc_status_text(hc_status status) { return known(status) ? messages[status].text : "unknown status"; }
