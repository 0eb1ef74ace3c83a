#include "hc_ring.h"

#include <string.h>

typedef char hc_command_is_128_bytes[sizeof(hc_command) == 128 ? 1 : -1];
typedef char hc_completion_is_64_bytes[sizeof(hc_completion) == 64 ? 1 : -1];

/* FNV-1a over 32-bit words; cheap enough for logic. */
static uint32_t checksum(const uint32_t *words, size_t count) {
    uint32_t sum = 2166136261u;
    for (size_t i = 0; i < count; i++) {
        sum = (sum ^ words[i]) * 16777619u;
    }
    return sum;
}

static uint32_t checksum_of_command(hc_command command) {
    uint32_t words[sizeof command / 4];
    command.checksum = 0;
    memcpy(words, &command, sizeof command);
    return checksum(words, sizeof words / 4);
}

static uint32_t checksum_of_completion(hc_completion completion) {
    uint32_t words[sizeof completion / 4];
    completion.checksum = 0;
    memcpy(words, &completion, sizeof completion);
    return checksum(words, sizeof words / 4);
}

void hc_ring_put_command(hc_command *ring, uint32_t sequence, const hc_command *command) {
    hc_command whole = *command;
    whole.sequence = sequence;
    whole.checksum = checksum_of_command(whole);
    ring[sequence % HC_RING_SLOTS] = whole;
}

hc_status hc_ring_get_command(const hc_command *ring, uint32_t sequence, hc_command *command) {
    *command = ring[sequence % HC_RING_SLOTS];
    if (command->sequence != sequence || command->checksum != checksum_of_command(*command)) {
        return HC_E_BAD_DESCRIPTOR;
    }
    return HC_OK;
}

void hc_ring_put_completion(hc_completion *ring, uint32_t sequence, const hc_completion *completion) {
    hc_completion *slot = &ring[sequence % HC_RING_SLOTS];
    hc_completion whole = *completion;
    whole.sequence = sequence;
    whole.checksum = checksum_of_completion(whole);
    /* Everything but the sequence number, which makes the completion visible. */
    memcpy((char *)slot + sizeof whole.sequence, (const char *)&whole + sizeof whole.sequence,
           sizeof whole - sizeof whole.sequence);
    __atomic_store_n(&slot->sequence, sequence, __ATOMIC_RELEASE);
}

hc_status hc_ring_get_completion(const hc_completion *ring, uint32_t sequence, hc_completion *completion) {
    const hc_completion *slot = &ring[sequence % HC_RING_SLOTS];
    if (__atomic_load_n(&slot->sequence, __ATOMIC_ACQUIRE) != sequence) {
        return HC_PENDING;
    }
    *completion = *slot;
    return completion->checksum == checksum_of_completion(*completion) ? HC_OK : HC_E_BAD_STATUS;
}
