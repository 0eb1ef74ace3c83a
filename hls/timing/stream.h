// What `network.cpp` runs, as `run.py` fills it in; its streams; and what one frame leaves for the next.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

using i32 = std::int32_t;
using i64 = std::int64_t;

struct Run {
    i64 processes, streams, frames, latency;
    i64 count;                             // whether to count the words that streams hold
    i64 pace, settled;                     // cycles between frames, or 0: any; frames that only deadlines bind
    i64 steady;                            // whether to stop when all frames are as the last two, besides at `pace`
    const i64 *first_step;                 // of each process, and the number of all steps
    const i32 *cycle;                      // of each step
    const i32 *first_event;                // of each step, and the number of all events
    const i32 *events;                     // of each step first its reads: -s reads, +s writes stream s; s from 1
    const i64 *period;                     // of each process: cycles per frame
    const i64 *deadline;                   // of each step: when it leaves in the first frame at the latest; or none
    const i64 *most;                       // of each stream: the depth up to which it grows
    i64 *depth, *peak;                     // of each stream
    i64 *start, *end, *starved, *blocked;  // of each process and frame
    i64 *entered, *left;                   // of each step: when it did so in the last frame; or none, of one or both
    i64 *waits;                            // of each process: the streams it waits to write and to read; 0 = none
    i64 *done;                             // how many frames there were until what follows was known
};

// The times that a frame leaves for the next, put down in a fixed order, and by how much they are after those of the
// frame before. Where places were not used yet, or there are more of them, frames do not compare.
class Cut {
   public:
    i64 least = 0, most = 0;
    bool compares = false;

    void begin() {
        compares = !times_.empty();
        least = std::numeric_limits<i64>::max();
        most = std::numeric_limits<i64>::min();
        at_ = 0;
    }

    void put(i64 time) {
        if (at_ == times_.size()) {
            times_.push_back(time);
            compares = false;
        }
        const i64 later = time - times_[at_];
        least = std::min(least, later);
        most = std::max(most, later);
        times_[at_++] = time;
    }

    void end() {
        compares = compares && at_ == times_.size() && at_;
        times_.resize(at_);
    }

   private:
    std::vector<i64> times_;
    std::size_t at_ = 0;
};

// The words numbered from 0 on; times lie at (number & mask).
struct Stream {
    i64 depth = 0, most = 0, mask = 0, written = 0, taken = 0;
    i64 *readable = nullptr, *writable = nullptr;  // from when on a word can be read, and its place be written again
    i64 counted = 0, gone = 0, peak = 0;           // writes and reads put in the order of their times so far

    bool full() const { return written - taken >= depth; }
    i64 &readable_at(i64 number) { return readable[number & mask]; }
    i64 &writable_at(i64 number) { return writable[number & mask]; }
    // When the place is free that the next word takes.
    i64 free_at() { return written < depth ? 0 : writable_at(written - depth); }

    void leave_behind(Cut &cut) {
        if (depth > taken) cut.compares = false;
        for (i64 place = 1; place <= std::min(depth, taken); ++place) cut.put(writable_at(taken - place));
    }

    // Of writes and reads whose times are known, one of the two is always the next.
    void count() {
        while (counted < written && gone < taken)
            if (readable_at(counted) <= writable_at(gone))
                peak = std::max(peak, ++counted - gone);
            else
                ++gone;
    }
};

}  // namespace
