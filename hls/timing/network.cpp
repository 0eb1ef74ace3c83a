// A network of stages run event by event, with the time of each event; `run.py` fills `Run`.
//
// A stage is a list of steps: the cycles of its own clock in which it touches streams. It is a pipeline of `latency`
// cycles: a step's reads happen, all at once, when it enters, and its writes when it leaves. `enter_lag_` and
// `leave_lag_` say by how much the front and the back are behind those of a stage that never waits; they only grow.
// Every stream has one writer and one reader, so the order in which stages get their turn changes no time.
//
// A frame is run to its end before the next one begins, in this order of work though not in time: a step waits for
// steps of its own frame and of those before only. What one frame leaves for the next is then a list of times: those of
// the stages, and those at which places are free again. Later frames are maxima of sums of these times with constants.
// So if no time of the list is more than `pace` cycles after the same one a frame before, none ever is again; if all
// are by more, no frame ever is in time; and if all are by the same number, all frames are as this one.
#include "stream.h"

#include <cstdlib>
#include <memory>
#include <utility>

namespace {

struct Step {
    i64 due, enter_lag, leave_lag;
};

// A position in the steps of all frames.
struct Cursor {
    i64 count = 0, step = 0, frame = 0, offset = 0;
};

class Stage {
   public:
    Stage(const Run &run, std::vector<Stream> &streams, i64 number)
        : r_(run),
          streams_(streams.data()),
          first_(run.first_step[number]),
          steps_(run.first_step[number + 1] - first_),
          period_(run.period[number]),
          results_(number * run.frames),
          window_(static_cast<std::size_t>(run.latency + 2)) {}

    void begin_frame() { limit_ += steps_; }

    bool finished() const { return back_.count == limit_; }

    void leave_behind(Cut &cut) {
        if (!steps_) return;
        cut.put(front_.offset + enter_lag_);
        cut.put(back_.offset + leave_lag_);
        std::size_t slot = oldest_;
        for (i64 step = retired_; step < back_.count; ++step) {
            const Step &late = next(slot);
            cut.put(late.due + late.leave_lag);
        }
    }

    // Goes on as far as the streams allow; whether it went on at all.
    bool advance() {
        const i64 before = front_.count + back_.count;
        full_ = empty_ = 0;
        for (i64 last = before - 1; last != front_.count + back_.count;) {
            last = front_.count + back_.count;
            while (!full_ && back_.count < front_.count && leave()) {}
            while (!empty_ && front_.count < limit_ && enter()) {}
        }
        return before != front_.count + back_.count;
    }

    // Whether it can go on since the stream, on which it stopped, was read or written.
    bool goes_on(i32 number) const {
        if (number == full_) return !stream(number).full();
        return number == empty_ && stream(number).written > stream(number).taken;
    }

    i64 waits_to_write() const {
        if (back_.count == front_.count) return 0;
        for (const i32 *e = events_end(back_); e-- > events(back_) && *e > 0;)
            if (stream(*e).full()) return *e;
        return 0;
    }

    i64 waits_to_read() const {
        if (front_.count == limit_ || !has_room()) return 0;
        for (const i32 *e = events(front_); e < events_end(front_) && *e < 0; ++e)
            if (const Stream &s = stream(*e); s.written == s.taken) return -*e;
        return 0;
    }

   private:
    Stream &stream(i32 event) const { return streams_[std::abs(event) - 1]; }
    i64 due(const Cursor &at) const { return r_.cycle[first_ + at.step] + at.offset; }
    const i32 *events(const Cursor &at) const { return r_.events + r_.first_event[first_ + at.step]; }
    const i32 *events_end(const Cursor &at) const { return r_.events + r_.first_event[first_ + at.step + 1]; }
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

    bool enter() {
        if (!has_room()) return false;
        const i64 at = due(front_), cell = results_ + front_.frame;
        const i32 *const first = events(front_), *const end = events_end(front_);
        i64 ready = 0;
        const i32 *e = first;
        for (; e < end && *e < 0; ++e) {
            Stream &s = stream(*e);
            if (s.written == s.taken) {
                empty_ = -*e;
                return false;
            }
            ready = std::max(ready, s.readable_at(s.taken));
        }
        i64 lag = enter_lag_;
        for (; retired_ < back_.count && window_[oldest_].due <= at - r_.latency; ++retired_)
            lag = std::max(lag, next(oldest_).leave_lag - r_.latency);
        r_.blocked[cell] += lag - enter_lag_;
        enter_lag_ = std::max(lag, ready - at);
        r_.starved[cell] += enter_lag_ - lag;
        while (e-- > first) {
            Stream &s = stream(*e);
            s.writable_at(s.taken++) = at + enter_lag_ + 1;
            if (r_.count) s.count();
        }
        if (front_.step == 0) r_.start[cell] = at + enter_lag_;
        if (r_.entered) r_.entered[first_ + front_.step] = at + enter_lag_;
        next(newest_) = {at, enter_lag_, 0};
        move(front_);
        return true;
    }

    bool leave() {
        const i32 *const first = events(back_), *const end = events_end(back_);
        const i32 *e = end;
        while (e > first && e[-1] > 0)
            if (stream(*--e).full()) {
                full_ = *e;
                return false;
            }
        Step &step = window_[leaving_];
        i64 lag = std::max(leave_lag_, step.enter_lag + r_.latency);
        if (r_.deadline) grow(e, end, std::max(step.due + lag, deadline()));
        for (const i32 *w = e; w < end; ++w) lag = std::max(lag, stream(*w).free_at() - step.due);
        for (const i32 *w = e; w < end; ++w) {
            Stream &s = stream(*w);
            s.readable_at(s.written++) = step.due + lag + 1;
            if (r_.count) s.count();
        }
        leave_lag_ = step.leave_lag = lag;
        if (r_.left) r_.left[first_ + back_.step] = step.due + lag;
        next(leaving_);
        const i64 frame = back_.frame;
        move(back_);
        if (back_.frame > frame) r_.end[results_ + frame] = back_.offset + lag;
        return true;
    }

    // When the next step leaves at the latest; later frames follow the one before at the pace, too.
    i64 deadline() const {
        const i64 slot = first_ + back_.step, latest = r_.deadline[slot] + r_.pace * back_.frame;
        return back_.frame < r_.settled ? latest : std::min(latest, r_.left[slot] + r_.pace);
    }

    // Gives streams that are to be written the places with which that is not later.
    void grow(const i32 *writes, const i32 *end, i64 latest) {
        for (; writes < end; ++writes)
            for (Stream &s = stream(*writes); s.depth < s.most && s.free_at() > latest;) ++s.depth;
    }

    const Run &r_;
    Stream *streams_;
    i64 first_, steps_, period_, results_, limit_ = 0, enter_lag_ = 0, leave_lag_ = 0, retired_ = 0;
    Cursor front_, back_;
    i32 full_ = 0, empty_ = 0;  // the streams that it stopped at
    std::vector<Step> window_;  // the steps between front and back, and those that left less than a latency ago
    std::size_t newest_ = 0, leaving_ = 0, oldest_ = 0;
};

constexpr std::size_t nobody = static_cast<std::size_t>(-1);

using Ends = std::vector<std::size_t>;  // of each stream: the stage that writes it, or reads it

// Whether the stages that a stage waits for, and those that they wait for, wait for itself in the end.
bool waits_for_itself(std::size_t stage, const std::vector<Stage> &stages, const Ends &writer, const Ends &reader) {
    std::vector<char> seen(stages.size(), 0);
    std::vector<std::size_t> open{stage};
    while (!open.empty()) {
        const Stage &at = stages[open.back()];
        open.pop_back();
        const auto full = static_cast<std::size_t>(at.waits_to_write());
        const auto empty = static_cast<std::size_t>(at.waits_to_read());
        for (const std::size_t other : {full ? reader[full - 1] : nobody, empty ? writer[empty - 1] : nobody}) {
            if (other == stage) return true;
            if (other == nobody || seen[other]) continue;
            seen[other] = 1;
            open.push_back(other);
        }
    }
    return false;
}

// Gives another place to a full stream that a stage waits for, best to one whose reader waits for a different stream
// and in the end for this stage: others fill up behind it, or, like those of weights, hold nobody up. The stage that
// now goes on.
std::size_t grow(std::vector<Stream> &streams, const std::vector<Stage> &stages, const Ends &writer,
                 const Ends &reader) {
    std::size_t found = nobody;
    int best = -1;
    for (std::size_t stage = 0; stage < stages.size() && best < 2; ++stage) {
        const auto full = static_cast<std::size_t>(stages[stage].waits_to_write());
        if (!full || streams[full - 1].depth >= streams[full - 1].most) continue;
        const std::size_t other = reader[full - 1];
        const auto wanted = other == nobody ? 0 : static_cast<std::size_t>(stages[other].waits_to_read());
        const bool crossed = wanted && wanted != full;
        const int rank = !crossed ? 0 : waits_for_itself(stage, stages, writer, reader) ? 2 : 1;
        if (rank <= best) continue;
        best = rank;
        found = stage;
    }
    if (found != nobody) ++streams[static_cast<std::size_t>(stages[found].waits_to_write()) - 1].depth;
    return found;
}

using Neighbour = std::pair<std::size_t, i32>;  // a stage, and the stream that leads to it

// Stages that may go on, taken in turn.
class Turns {
   public:
    explicit Turns(std::size_t count) : words_((count + 63) / 64) {}

    void add(std::size_t stage) { words_[stage / 64] |= std::uint64_t{1} << stage % 64; }

    // The next one, from the first again behind the last; nobody where there is none.
    std::size_t take() {
        for (std::size_t tried = 0; tried <= words_.size(); ++tried, at_ = at_ + 1 == words_.size() ? 0 : at_ + 1)
            if (std::uint64_t &word = words_[at_]) {
                const auto bit = static_cast<std::size_t>(__builtin_ctzll(word));
                word &= word - 1;
                return at_ * 64 + bit;
            }
        return nobody;
    }

   private:
    std::vector<std::uint64_t> words_;
    std::size_t at_ = 0;
};

// Runs a frame; whether to its end.
bool run_frame(std::vector<Stream> &streams, std::vector<Stage> &stages, const Ends &writer, const Ends &reader,
               const std::vector<std::vector<Neighbour>> &neighbours) {
    Turns turns(stages.size());
    for (std::size_t p = 0; p < stages.size(); ++p) turns.add(p);
    for (Stage &stage : stages) stage.begin_frame();
    for (std::size_t next;
         (next = turns.take()) != nobody || (next = grow(streams, stages, writer, reader)) != nobody;) {
        if (!stages[next].advance()) continue;
        for (const auto &[other, stream] : neighbours[next])
            if (stages[other].goes_on(stream)) turns.add(other);
    }
    return std::all_of(stages.begin(), stages.end(), [](const Stage &stage) { return stage.finished(); });
}

// Whether a frame and the one before decide about all later ones.
bool is_known(const Run &r, std::vector<Stream> &streams, std::vector<Stage> &stages, Cut &cut) {
    cut.begin();
    for (Stage &stage : stages) stage.leave_behind(cut);
    for (Stream &stream : streams) stream.leave_behind(cut);
    cut.end();
    const bool kept = r.pace && cut.most <= r.pace;
    const bool missed = r.pace && cut.least > r.pace && !r.deadline;  // what is late may grow yet
    return cut.compares && (kept || missed || (r.steady && cut.least == cut.most));
}

i64 power_of_two(i64 least) {
    i64 found = 1;
    while (found < least) found *= 2;
    return found;
}

}  // namespace

// Runs all frames, or fewer: 0, or 1 where the network stops for good, 2 where those left are known to be alike.
extern "C" int run_network(const Run *run) {
    const Run &r = *run;
    const auto count = static_cast<std::size_t>(r.processes);
    std::vector<Stream> streams(static_cast<std::size_t>(r.streams));
    std::vector<std::unique_ptr<i64[]>> times;
    for (std::size_t s = 0; s < streams.size(); ++s) {
        const i64 room = power_of_two(std::max(r.depth[s], r.most[s]));
        streams[s].depth = r.depth[s];
        streams[s].most = r.most[s];
        streams[s].mask = room - 1;
        for (i64 **side : {&streams[s].readable, &streams[s].writable}) {
            times.emplace_back(new i64[static_cast<std::size_t>(room)]);  // memory that is not touched takes no space
            *side = times.back().get();
        }
    }
    std::vector<Stage> stages;
    stages.reserve(count);
    std::vector<std::size_t> writer(streams.size(), nobody), reader(writer);
    for (std::size_t p = 0; p < count; ++p) {
        stages.emplace_back(r, streams, static_cast<i64>(p));
        for (i32 e = r.first_event[r.first_step[p]]; e < r.first_event[r.first_step[p + 1]]; ++e)
            (r.events[e] < 0 ? reader : writer)[static_cast<std::size_t>(std::abs(r.events[e]) - 1)] = p;
    }
    std::vector<std::vector<Neighbour>> neighbours(count);  // who may go on once a stage has
    for (std::size_t s = 0; s < streams.size(); ++s)
        if (writer[s] != nobody && reader[s] != nobody) {
            neighbours[writer[s]].push_back({reader[s], static_cast<i32>(s + 1)});
            neighbours[reader[s]].push_back({writer[s], static_cast<i32>(s + 1)});
        }
    bool finished = true;
    i64 known = 0;  // frames since all later ones are known: the words of one more meet its own in the streams
    Cut cut;
    for (*r.done = 0; finished && known <= r.count && *r.done < r.frames; ++*r.done) {
        finished = run_frame(streams, stages, writer, reader, neighbours);
        if (finished && (r.pace || r.steady) && is_known(r, streams, stages, cut)) ++known;
    }
    for (std::size_t p = 0; p < stages.size(); ++p) {
        r.waits[2 * p] = stages[p].waits_to_write();
        r.waits[2 * p + 1] = stages[p].waits_to_read();
    }
    for (std::size_t s = 0; s < streams.size(); ++s) {
        r.depth[s] = streams[s].depth;
        r.peak[s] = streams[s].peak;
    }
    return !finished ? 1 : known ? 2 : 0;
}
