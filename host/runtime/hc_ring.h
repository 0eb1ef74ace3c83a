/*
 * Commands and completions: two rings of fixed-size descriptors in memory that both sides see uncached or coherent.
 *
 * Command number n (from 1) lies in slot n % HC_RING_SLOTS, and so does its completion: a device serves commands in
 * order. The host writes a command and then the doorbell; the device writes a completion, its `sequence` last. Since
 * the host never has more than HC_RING_SLOTS commands without a collected completion, no slot is overwritten early.
 * Both kinds carry a checksum, so that a torn or stale descriptor is an error instead of a wild access.
 */
#ifndef HC_RING_H
#define HC_RING_H

#include <stdint.h>

#include "hc_status.h"

#define HC_RING_SLOTS 16u
#define HC_PORTS_MAX 24u      /* of a device region */
#define HC_CPU_PORTS_MAX 256u /* which no command has to hold */

typedef struct hc_command {
    uint32_t sequence;
    uint32_t checksum; /* of all other words */
    uint64_t frame;
    uint32_t region; /* index into the plan's regions */
    uint16_t input_count, output_count; /* inputs with the ports for weights */
    uint32_t reserved[2];
    uint32_t offsets[HC_PORTS_MAX]; /* in the pool: inputs, ports for weights, outputs, in port order; the rest zero */
} hc_command;

typedef struct hc_completion {
    uint32_t sequence;
    uint32_t checksum;
    uint64_t frame;
    uint32_t region;
    uint32_t status;  /* hc_status */
    int32_t code;     /* what the region returned, with HC_E_RUN */
    uint32_t reserved;
    uint64_t busy_ns; /* how long the device worked on it */
    uint64_t end_ns;  /* when it was done, on the host's monotonic clock; 0 from devices that do not see it */
    uint64_t padding[2];
} hc_completion;

enum {
    HC_COMMAND_RING_BYTES = HC_RING_SLOTS * 128,
    HC_COMPLETION_RING_BYTES = HC_RING_SLOTS * 64,
    HC_RINGS_BYTES = 0x1000, /* both rings, command ring first; a page, since the pool is mapped otherwise */
    HC_COMMAND_RING_OFFSET = 0x1000, /* in the shared file of a simulated device, behind the registers */
    HC_COMPLETION_RING_OFFSET = HC_COMMAND_RING_OFFSET + HC_COMMAND_RING_BYTES,
    HC_POOL_OFFSET = 0x2000
};

/* The host's end. `sequence` and `checksum` are filled in; the caller then rings the doorbell with `sequence`. */
void hc_ring_put_command(hc_command *ring, uint32_t sequence, const hc_command *command);

/* HC_OK, HC_PENDING if completion `sequence` is not there yet, HC_E_BAD_STATUS if it is damaged. */
hc_status hc_ring_get_completion(const hc_completion *ring, uint32_t sequence, hc_completion *completion);

/* The device's end. HC_OK or HC_E_BAD_DESCRIPTOR; `command` is a private copy that cannot change any more. */
hc_status hc_ring_get_command(const hc_command *ring, uint32_t sequence, hc_command *command);

void hc_ring_put_completion(hc_completion *ring, uint32_t sequence, const hc_completion *completion);

#endif
