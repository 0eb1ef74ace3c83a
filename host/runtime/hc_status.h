/* What a call of the runtime, or a command on a device, came to. */
#ifndef HC_STATUS_H
#define HC_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum hc_status {
    HC_OK = 0,
    HC_PENDING,          /* not an error: nothing finished before the time given */
    HC_BUSY,             /* not an error: no free frame, ring full */
    HC_E_ARGUMENT,       /* the caller broke the API's contract */
    HC_E_MEMORY,         /* the system gave no memory */
    HC_E_SYSTEM,         /* the shared file could not be opened or mapped */
    HC_E_DEADLINE,       /* the device did not finish in time */
    HC_E_DEVICE_LOST,    /* the device went away */
    HC_E_DEVICE_FAULT,   /* the device reported a fault instead of serving */
    HC_E_HASH,           /* the device was built for another package */
    HC_E_VERSION,        /* the device speaks another version of the protocol */
    HC_E_REGION,         /* a linked region is not the one that the plan describes */
    HC_E_RUN,            /* a region returned a code other than zero */
    HC_E_BAD_DESCRIPTOR, /* the device was given a damaged or impossible command */
    HC_E_BAD_STATUS,     /* the device answered with something that is no completion */
    HC_E_THREADS,        /* the system gave no thread */
    HC_E_NO_FAILOVER,    /* no device, and no CPU code in its place */
    HC_E_NO_NODE,        /* a device node is missing or cannot be opened */
    HC_E_IN_USE,         /* another process runs on the device */
    HC_E_DMA_MEMORY,     /* there is less DMA memory than the package needs */
    HC_E_SYNC,           /* cache maintenance failed */
    HC_STATUS_COUNT
} hc_status;

/* "deadline", "hash", ...: the name without prefix, in lower case. */
const char *hc_status_name(hc_status status);

/* One line for people. */
const char *hc_status_text(hc_status status);

#ifdef __cplusplus
}
#endif

#endif
