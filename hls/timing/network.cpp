// A network of stages run event by event, with the time of each event; `run.py` fills `Run`.
//
// A stage is a list of steps: the cycles of its own clock in which it touches streams. It is a pipeline of `latency`
// cycles: a step's reads happen, all at once, when it enters, and its writes when it leaves. `enter_lag_` and
// `leave_lag_` say by how much the front and the back are behind those of a stage that never waits; they only grow.
// Every stream has one writer and one reader, so the order in which stages get their turn changes no time.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace {

using i64 = std::int64_t;

struct Run {
    i64 processes, streams, frames, latency;
    const i64 *first_step;                 // of each process, and the number of all steps
    const i64 *cycle;                      // of each step
    const i64 *first_event;                // of each step, and the number of all events
    const i64 *events;                     // +s writes, -s reads stream s; s from 1
    const i64 *period;                     // of each process: cycles per frame
    const i64 *growable;                   // of each stream: whether it gets another place when it blocks the network
    const i64 *base, *mask;                // of each stream: its times lie from `base` on, at (number & mask)
    i64 *depth;                            // of each stream
    i64 *readable, *writable;              // from when on a word can be read, and its place be written again
    i64 *written, *taken;                  // of each stream: words so far
    i64 *start, *end, *starved, *blocked;  // of each process and frame
    i64 *waits;                            // of each process: the streams it waits to write and to read; 0 = none
};

struct Step {
    i64 due, enter_lag, leave_lag;
};

// A position in the steps of all frames.
struct Cursor {
    i64 count = 0, step = 0, frame = 0, offset = 0;
};

class Stage {
   public:
    Stage(const Run &run, i64 number)
        : r_(run),
          first_(run.first_step[number]),
          steps_(run.first_step[number + 1] - first_),
          total_(steps_ * run.frames),
          period_(run.period[number]),
          results_(number * run.frames),
          window_(static_cast<std::size_t>(run.latency + 2)) {}

    bool finished() const { return back_.count == total_; }

    // Goes on as far as the streams allow; whether it went on at all.
    bool advance() {
        const i64 before = front_.count + back_.count;
        for (bool moved = true; moved;) {
            moved = false;
            while (back_.count < front_.count && leave()) moved = true;
            while (front_.count < total_ && enter()) moved = true;
        }
        return before != front_.count + back_.count;
    }

    i64 waits_to_write() const { return back_.count < front_.count ? blocking(back_, 1) : 0; }
    i64 waits_to_read() const { return front_.count < total_ && has_room() ? blocking(front_, -1) : 0; }

   private:
    i64 due(const Cursor &at) const { return r_.cycle[first_ + at.step] + at.offset; }
    const i64 *events(const Cursor &at) const { return r_.events + r_.first_event[first_ + at.step]; }
    const i64 *events_end(const Cursor &at) const { return r_.events + r_.first_event[first_ + at.step + 1]; }
    i64 &time(i64 *times, i64 stream, i64 number) { return times[r_.base[stream] + (number & r_.mask[stream])]; }
    bool has_room() const { return back_.count == front_.count || due(back_) > due(front_) - r_.latency; }

    Step &next(std::size_t &slot) {
        Step &found = window_[slot];
        slot = slot + 1 == window_.size() ? 0 : slot + 1;
        return found;
    }

    void move(Cursor &at) {
        ++at.count;
        if (++at.step < steps_) return;
        at.step = 0;
        ++at.frame;
        at.offset += period_;
    }

    // The first stream of a step that cannot be read (sign -1) or written (+1); 0 = none.
    i64 blocking(const Cursor &at, i64 sign) const {
        for (const i64 *e = events(at); e < events_end(at); ++e) {
            const i64 s = *e * sign - 1;
            if (s < 0) continue;
            const i64 held = r_.written[s] - r_.taken[s];
            if (sign < 0 ? held == 0 : held >= r_.depth[s]) return s + 1;
        }
        return 0;
    }

    bool enter() {
        if (!has_room() || blocking(front_, -1)) return false;
        const i64 at = due(front_), cell = results_ + front_.frame;
        i64 lag = enter_lag_;
        for (; retired_ < back_.count && window_[oldest_].due <= at - r_.latency; ++retired_)
            lag = std::max(lag, next(oldest_).leave_lag - r_.latency);
        r_.blocked[cell] += lag - enter_lag_;
        enter_lag_ = lag;
        for (const i64 *e = events(front_); e < events_end(front_); ++e)
            if (const i64 s = -*e - 1; s >= 0) lag = std::max(lag, time(r_.readable, s, r_.taken[s]) - at);
        r_.starved[cell] += lag - enter_lag_;
        enter_lag_ = lag;
        for (const i64 *e = events(front_); e < events_end(front_); ++e)
            if (const i64 s = -*e - 1; s >= 0) time(r_.writable, s, r_.taken[s]++) = at + lag + 1;
        if (front_.step == 0) r_.start[cell] = at + lag;
        next(newest_) = {at, lag, 0};
        move(front_);
        return true;
    }

    bool leave() {
        if (blocking(back_, 1)) return false;
        const i64 frame = back_.frame;
        Step &step = next(leaving_);
        i64 lag = std::max(leave_lag_, step.enter_lag + r_.latency);
        for (const i64 *e = events(back_); e < events_end(back_); ++e)
            if (const i64 s = *e - 1; s >= 0 && r_.written[s] >= r_.depth[s])
                lag = std::max(lag, time(r_.writable, s, r_.written[s] - r_.depth[s]) - step.due);
        for (const i64 *e = events(back_); e < events_end(back_); ++e)
            if (const i64 s = *e - 1; s >= 0) time(r_.readable, s, r_.written[s]++) = step.due + lag + 1;
        leave_lag_ = step.leave_lag = lag;
        move(back_);
        if (back_.frame > frame) r_.end[results_ + frame] = back_.offset + lag;
        return true;
    }

    const Run &r_;
    i64 first_, steps_, total_, period_, results_, enter_lag_ = 0, leave_lag_ = 0, retired_ = 0;
    Cursor front_, back_;
    std::vector<Step> window_;  // the steps between front and back, and those that left less than a latency ago
    std::size_t newest_ = 0, leaving_ = 0, oldest_ = 0;
};

constexpr std::size_t nobody = static_cast<std::size_t>(-1);

// Gives another place to a full stream that a stage waits for, best to one whose reader waits for a different stream:
// the others fill up behind it. The stage that now goes on.
std::size_t grow(const Run &r, const std::vector<Stage> &stages, const std::vector<std::size_t> &reader) {
    std::size_t found = nobody;
    for (std::size_t writer = 0; writer < stages.size(); ++writer) {
        const i64 full = stages[writer].waits_to_write();
        if (!full || !r.growable[full - 1]) continue;
        const std::size_t other = reader[static_cast<std::size_t>(full - 1)];
        const i64 wanted = other == nobody ? 0 : stages[other].waits_to_read();
        const bool cause = wanted && wanted != full;
        if (cause || found == nobody) found = writer;
        if (cause) break;
    }
    if (found != nobody) ++r.depth[stages[found].waits_to_write() - 1];
    return found;
}

}  // namespace

// Runs all frames: 0, or 1 where the network stops for good.
extern "C" int run_network(const Run *run) {
    const Run &r = *run;
    const auto count = static_cast<std::size_t>(r.processes);
    std::vector<Stage> stages;
    stages.reserve(count);
    std::vector<std::size_t> writer(static_cast<std::size_t>(r.streams), nobody), reader(writer);
    for (std::size_t p = 0; p < count; ++p) {
        stages.emplace_back(r, static_cast<i64>(p));
        for (i64 e = r.first_event[r.first_step[p]]; e < r.first_event[r.first_step[p + 1]]; ++e)
            (r.events[e] < 0 ? reader : writer)[static_cast<std::size_t>(std::abs(r.events[e]) - 1)] = p;
    }
    std::vector<std::vector<std::size_t>> neighbours(count);  // who may go on once a stage has
    for (std::size_t s = 0; s < writer.size(); ++s)
        if (writer[s] != nobody && reader[s] != nobody) {
            neighbours[writer[s]].push_back(reader[s]);
            neighbours[reader[s]].push_back(writer[s]);
        }
    std::vector<char> due(count, 1);
    for (bool moved = true; moved;) {
        moved = false;
        for (std::size_t p = 0; p < count; ++p) {
            if (!due[p]) continue;
            due[p] = 0;
            if (!stages[p].advance()) continue;
            moved = true;
            for (const std::size_t other : neighbours[p]) due[other] = 1;
        }
        if (!moved)
            if (const std::size_t freed = grow(r, stages, reader); freed != nobody) moved = due[freed] = 1;
    }
    bool finished = true;
    for (std::size_t p = 0; p < stages.size(); ++p) {
        finished = finished && stages[p].finished();
        r.waits[2 * p] = stages[p].waits_to_write();
        r.waits[2 * p + 1] = stages[p].waits_to_read();
    }
    return finished ? 0 : 1;
}
