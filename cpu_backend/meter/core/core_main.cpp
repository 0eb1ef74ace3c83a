// Runs a bare rv32 ELF on meter_core and prints the cycles between its marks as JSON: core_main ELF LATENCY MAX_CYCLES
// LATENCY: cycles that a bus access waits before its first word; the further words of a line come one a cycle.
// The program ends where `slti x0, x0, 0x126` retires, with a0 as the status.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <vector>

#include "Vmeter_core.h"
#include "verilated.h"

namespace {

constexpr uint32_t kMemory = 1u << 29; // bytes, from address 0
constexpr unsigned kBegin = 0x123, kEnd = 0x124, kForget = 0x125;
constexpr uint32_t kStop = 0x12602013; // slti x0, x0, 0x126

struct Counts {
    uint64_t entries = 0, cycles = 0, instructions = 0;
};

[[noreturn]] void fail(const char *what) {
    fprintf(stderr, "core: %s\n", what);
    exit(4);
}

template <typename T> T get(const std::vector<char> &file, size_t at) {
    T value;
    if (at + sizeof value > file.size()) fail("the ELF file is cut off");
    memcpy(&value, file.data() + at, sizeof value);
    return value;
}

// The loadable segments of a 32-bit little-endian ELF file; its entry point.
uint32_t load(const char *path, uint8_t *memory) {
    std::ifstream stream(path, std::ios::binary);
    const std::vector<char> file{std::istreambuf_iterator<char>(stream), {}};
    if (file.size() < 52 || memcmp(file.data(), "\x7f"
                                                "ELF\x01\x01",
                                   6))
        fail("no 32-bit ELF file");
    const uint32_t table = get<uint32_t>(file, 28);
    const unsigned size = get<uint16_t>(file, 42), count = get<uint16_t>(file, 44);
    for (unsigned i = 0; i < count; i++) {
        const size_t at = table + i * size;
        if (get<uint32_t>(file, at) != 1) continue; // PT_LOAD
        const uint32_t from = get<uint32_t>(file, at + 4), to = get<uint32_t>(file, at + 8);
        const uint32_t bytes = get<uint32_t>(file, at + 16), whole = get<uint32_t>(file, at + 20);
        if (uint64_t(to) + whole > kMemory || uint64_t(from) + bytes > file.size()) fail("a segment does not fit");
        memcpy(memory + to, file.data() + from, bytes);
    }
    return get<uint32_t>(file, 24);
}

// Answers one bus: LATENCY cycles before the first word of a burst, none between its words.
struct Port {
    unsigned latency, waited = 0;
    bool burst = false;

    bool ready(bool asked) {
        if (!asked) {
            waited = 0;
            burst = false;
            return false;
        }
        if (!burst && waited < latency) {
            waited++;
            return false;
        }
        burst = true;
        return true;
    }
};

// Counts between marks: plugin/decode.h has the encodings.
struct Regions {
    std::map<unsigned, Counts> counts;
    Counts *open = nullptr;
    uint64_t since = 0, instructions = 0;

    void mark(uint32_t word, uint64_t cycle) {
        const unsigned value = word >> 20;
        const bool sltiu = (word & 0xfffff) == 0x3013 && value < 0x800, slti = (word & 0xfffff) == 0x2013;
        if (sltiu || (slti && value == kBegin)) {
            if (open) fail("a region begins inside another one");
            open = &counts[sltiu ? value : 0];
            open->entries++;
            since = cycle;
            instructions = 0;
        } else if (slti && value == kEnd) {
            if (!open) fail("a region ends that was not begun");
            open->cycles += cycle - since - 1; // between the marks
            open->instructions += instructions;
            open = nullptr;
        } else if (slti && value == kForget) {
            counts.clear();
        } else {
            instructions++;
        }
    }
};

} // namespace

int main(int argc, char **argv) {
    if (argc != 4) fail("usage: core_main ELF LATENCY MAX_CYCLES");
    auto *memory = static_cast<uint8_t *>(calloc(kMemory, 1));
    if (!memory) fail("no memory");
    const uint32_t entry = load(argv[1], memory);
    const auto latency = static_cast<unsigned>(strtoul(argv[2], nullptr, 10));
    const uint64_t last = strtoull(argv[3], nullptr, 10);
    Port code{latency}, data{latency};
    Regions regions;
    Vmeter_core top;
    uint32_t status = 0;
    top.entry = entry;
    for (uint64_t cycle = 0;; cycle++) {
        if (cycle == last) fail("the program did not end in time");
        top.reset = cycle < 16;
        top.clk = 0;
        top.eval();
        const uint32_t mask = kMemory / 4 - 1;
        top.i_ack = code.ready(top.i_cyc && top.i_stb);
        memcpy(&top.i_data, memory + 4 * (top.i_adr & mask), 4);
        top.d_ack = data.ready(top.d_cyc && top.d_stb);
        uint8_t *word = memory + 4 * (top.d_adr & mask);
        memcpy(&top.d_data, word, 4);
        top.eval();
        if (top.d_ack && top.d_we) {
            const uint32_t out = top.d_out;
            for (unsigned b = 0; b < 4; b++)
                if (top.d_sel >> b & 1) word[b] = static_cast<uint8_t>(out >> 8 * b);
        }
        if (!top.reset) {
            if (top.writes && top.destination == 10) status = top.value;
            if (top.retires) {
                if (top.instruction == kStop) break;
                regions.mark(top.instruction, cycle);
            }
        }
        top.clk = 1;
        top.eval();
    }
    if (regions.open) fail("the program ended inside a region");
    printf("{\"status\": %u, \"regions\": [", status);
    const char *separator = "";
    for (const auto &[region, counts] : regions.counts) {
        printf("%s\n {\"region\": %u, \"entries\": %llu, \"cycles\": %llu, \"instructions\": %llu}", separator, region,
               static_cast<unsigned long long>(counts.entries), static_cast<unsigned long long>(counts.cycles),
               static_cast<unsigned long long>(counts.instructions));
        separator = ",";
    }
    printf("]}\n");
    return 0;
}
