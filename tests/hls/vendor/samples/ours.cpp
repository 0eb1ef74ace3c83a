#include <ap_int.h>
#include <hls_stream.h>

static const int conv_w[2][4] = {
    {-67108864, 67108863, -1, 12345678},
    {67108863, -67108864, 0, -7654321},
};

static const int conv_mul[2] = {
    -32768, 32767
};

static const int conv_table[2][4] = {
    {-300000000, -5, 0, 300000000},
    {-2000000000, -1, 1, 2000000000},
};

static void load(hls::stream<ap_int<64>> &x, hls::stream<ap_int<18>> &a) {
    load_row: for (int row = 0; row < 6; ++row) {
        load_col: for (int col = 0; col < 4; ++col) {
            #pragma HLS pipeline II=1
            a.write(ap_int<18>(x.read()));
        }
    }
}

static void conv(hls::stream<ap_int<18>> &a, hls::stream<ap_int<64>> &b) {
    // conv: W holds 1 weight
    ap_int<18> conv_a[4];
    #pragma HLS array_partition variable=conv_a complete dim=1
    conv_row: for (int row = 0; row < 6; ++row) {
        conv_c: for (int c = 0; c < 4; ++c) {
            #pragma HLS pipeline II=1
            conv_a[c] = a.read();
        }
        conv_og: for (int og = 0; og < 2; ++og) {
            #pragma HLS pipeline II=2
            ap_int<48> total = 0;
            conv_s: for (int s = 0; s < 4; ++s) {
                total = total + ap_int<27>(conv_w[og][s]) * conv_a[s];
            }
            ap_int<8> level = 0;
            conv_t: for (int t = 0; t < 4; ++t) {
                if (total >= ap_int<32>(conv_table[og][t])) {
                    level = level + 1;
                }
            }
            const ap_int<64> scaled = (total * ap_int<16>(conv_mul[og])) >> 3;
            b.write(ap_int<64>(scaled + level));
        }
    }
}

static void store(hls::stream<ap_int<64>> &b, hls::stream<ap_int<64>> &y) {
    store_row: for (int row = 0; row < 6; ++row) {
        store_col: for (int col = 0; col < 2; ++col) {
            #pragma HLS pipeline II=1
            y.write(b.read());
        }
    }
}

void net(hls::stream<ap_int<64>> &x, hls::stream<ap_int<64>> &y) {
    #pragma HLS dataflow
    hls::stream<ap_int<18>> a("a");
    #pragma HLS stream variable=a depth=2
    load(x, a);
    hls::stream<ap_int<64>> b("b");
    #pragma HLS stream variable=b depth=2
    conv(a, b);
    store(b, y);
}
