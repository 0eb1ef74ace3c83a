// What the native simulation of a stage program needs: wraps to a number of bits, and streams.
#ifndef HLS_NATIVE_H
#define HLS_NATIVE_H

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>

using uint128_t = unsigned __int128;

namespace hls_native {

template <int bits, bool is_signed>
using holder = std::conditional_t<
    (bits <= 32 - !is_signed), int32_t,
    std::conditional_t<(bits <= 64 - !is_signed), int64_t, std::conditional_t<(bits <= 64), uint64_t, __int128>>>;

template <int bits>
using unsigned_holder = std::conditional_t<(bits <= 32), uint32_t, std::conditional_t<(bits <= 64), uint64_t, unsigned __int128>>;

template <int bits>
using signed_holder = std::conditional_t<(bits <= 32), int32_t, std::conditional_t<(bits <= 64), int64_t, __int128>>;

// `chosen ? value : 0` without a branch.
template <typename T>
constexpr inline T when(bool chosen, T value) {
    return static_cast<T>(-static_cast<T>(chosen) & value);
}

// `count` numbers in a machine vector: the compilers' own operators work on all of them.
template <typename T, int count>
struct vector_of {
    typedef T type __attribute__((vector_size(count * sizeof(T))));
};

template <typename T, int count>
using lanes = typename vector_of<T, count>::type;

template <int count, typename T>
inline lanes<T, count> load(const T *data) {
    lanes<T, count> result;
    std::memcpy(&result, data, sizeof(result));
    return result;
}

// Of all numbers in a vector: halves are added, each time in a type of twice the width, until that is 32 bits.
template <typename V>
inline int32_t sum(V v) {
    using T = std::decay_t<decltype(v[0])>;
    using W = std::conditional_t<sizeof(T) == 1, int16_t, int32_t>;
    constexpr int count = sizeof(V) / sizeof(T);
    if constexpr (count == 2) {
        return v[0] + v[1];
    } else {
        const lanes<W, count> wide = __builtin_convertvector(v, lanes<W, count>);
        lanes<W, count / 2> half[2];
        std::memcpy(half, &wide, sizeof(half));
        return sum(half[0] + half[1]);
    }
}

}  // namespace hls_native

// x modulo 2^bits, as a signed number.
template <int bits, typename T>
constexpr inline hls_native::holder<bits, true> sint(T x) {
    using U = hls_native::unsigned_holder<bits>;
    constexpr int spare = static_cast<int>(sizeof(U) * 8) - bits;
    return static_cast<hls_native::signed_holder<bits>>(static_cast<U>(x) << spare) >> spare;
}

// x modulo 2^bits, as an unsigned number.
template <int bits, typename T>
constexpr inline hls_native::holder<bits, false> uint(T x) {
    using U = hls_native::unsigned_holder<bits>;
    constexpr int spare = static_cast<int>(sizeof(U) * 8) - bits;
    return static_cast<hls_native::holder<bits, false>>(static_cast<U>(x) & (static_cast<U>(-1) >> spare));
}

// A stream between two stages that run one after the other: it holds all elements of a frame.
// Over an array, the stream of its elements in order.
template <typename T>
class Fifo {
   public:
    explicit Fifo(int tokens) : own_(new T[static_cast<std::size_t>(tokens)]), head_(own_.get()), tail_(own_.get()) {}
    explicit Fifo(const T *data) : head_(const_cast<T *>(data)), tail_(const_cast<T *>(data)) {}
    T read() { return *head_++; }
    void write(T value) { *tail_++ = value; }

   private:
    std::unique_ptr<T[]> own_;
    T *head_;
    T *tail_;
};

#endif
