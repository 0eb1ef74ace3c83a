
//===------------------------------------------------------------*- C++ -*-===//
//
// Automatically generated file for High-level Synthesis (HLS).
//
//===----------------------------------------------------------------------===//
#include <algorithm>
#include <ap_axi_sdata.h>
#include <ap_fixed.h>
#include <ap_int.h>
#include <hls_math.h>
#include <hls_stream.h>
#include <math.h>
#include <stdint.h>
using namespace std;
const ap_int<27> conv_w[2][4] = {-67108864, 67108863, -1, 12345678, 67108863, -67108864, 0, -7654321};	// L40
const int16_t conv_mul[2] = {-32768, 32767};	// L41
const int32_t conv_table[2][4] = {-300000000, -5, 0, 300000000, -2000000000, -1, 1, 2000000000};	// L42
void Stage_load(
  ap_int<64> v0[6][4],
  hls::stream< ap_int<18> > &v1 /* v1[6][4] */
) {	// L12
  #pragma HLS stream variable=v1 depth=2
  l_load_row: for (int row = 0; row < 6; row++) {	// L20
    l_col: for (int col = 0; col < 4; col++) {	// L21
    #pragma HLS pipeline II=1
      ap_int<64> v2 = v0[row][col];	// L18
      ap_int<18> v3 = v2;	//
      v1.write(v3); // v1[row][col] = v3;	//
    }
  }
}

void Stage_conv(
  hls::stream< ap_int<18> > &v4 /* v4[6][4] */,
  hls::stream< ap_int<64> > &v5 /* v5[6][2] */
) {	// L30
  #pragma HLS stream variable=v4 depth=2
  #pragma HLS stream variable=v5 depth=2
  // placeholder for const ap_int<27> conv_w	// L40
  ap_int<18> conv_a[4];	// L43
  #pragma HLS array_partition variable=conv_a complete dim=1

  // placeholder for const ap_int<16> conv_mul	// L41
  // placeholder for const ap_int<32> conv_table	// L42
  l_conv_row_0: for (int row_0 = 0; row_0 < 6; row_0++) {	// L46
    l_c: for (int c = 0; c < 4; c++) {	// L47
    #pragma HLS pipeline II=1
      ap_int<18> v6 = v4.read(); // v4[row_0][c];	// L48
      conv_a[c] = v6;	// L48
    }
    l_og: for (int og = 0; og < 2; og++) {	// L49
    #pragma HLS pipeline II=2
      ap_int<48> total;	// L50
      ap_int<48> v7 = 0;	//
      total = v7;	// L50
      l_s: for (int s = 0; s < 4; s++) {	// L51
        ap_int<27> v8 = conv_w[og][s];	// L52
        ap_int<18> v9 = conv_a[s];	// L52
        ap_int<45> v10 = v8;	//
        ap_int<45> v11 = v9;	//
        ap_int<45> v12 = v10 * v11;	// L52
        ap_int<48> v13 = total;	// L52
        ap_int<49> v14 = v13;	//
        ap_int<49> v15 = v12;	//
        ap_int<49> v16 = v14 + v15;	// L52
        ap_int<48> v17 = v16;	//
        total = v17;	// L52
      }
      ap_int<8> level;	// L53
      ap_int<8> v18 = 0;	//
      level = v18;	// L53
      l_t: for (int t = 0; t < 4; t++) {	// L54
        ap_int<8> v19 = level;	// L55
        int v20 = v19;	//
        ap_int<32> v21 = conv_table[og][t];	// L55
        ap_int<48> v22 = total;	// L55
        ap_int<48> v23 = v21;	//
        ap_uint<1> v24 = v22 >= v23;	// L55
        if (v24) {	// L55
          ap_int<32> v25 = v20 + 1;	// L55
          ap_int<8> v26 = v25;	//
          level = v26;	// L55
        } else {
          level = v19;	// L55
        }
      }
      ap_int<48> v27 = total;	// L56
      int16_t v28 = conv_mul[og];	// L56
      ap_int<64> v29 = v27;	//
      ap_int<64> v30 = v28;	//
      ap_int<64> v31 = v29 * v30;	// L56
      ap_int<64> v32 = 3;	//
      ap_int<64> v33 = v31 >> v32;	// L56
      ap_uint<1> v34 = v32 >= 64;	// L56
      ap_int<64> v35 = v34 ? (ap_int<64>)0 : (ap_int<64>)v33;	// L56
      ap_int<8> v36 = level;	// L57
      ap_int<65> v37 = v35;	//
      ap_int<65> v38 = v36;	//
      ap_int<65> v39 = v37 + v38;	// L57
      ap_int<64> v40 = v39;	//
      v5.write(v40); // v5[row_0][og] = v40;	// L57
    }
  }
}

void Stage_store(
  hls::stream< ap_int<64> > &v41 /* v41[6][2] */,
  ap_int<64> v42[6][2]
) {	// L60
  #pragma HLS stream variable=v41 depth=2
  l_store_row_1: for (int row_1 = 0; row_1 < 6; row_1++) {	// L61
    l_col_0: for (int col_0 = 0; col_0 < 2; col_0++) {	// L62
    #pragma HLS pipeline II=1
      ap_int<64> v43 = v41.read(); // v41[row_1][col_0];	// L63
      v42[row_1][col_0] = v43;	// L63
    }
  }
}

void top(
  ap_int<64> v44[6][4],
  ap_int<64> v45[6][2]
) {	// L70
  #pragma HLS dataflow
  hls::stream< ap_int<18> > a /* a[6][4] */;	// L71
  #pragma HLS stream variable=a depth=2
  Stage_load(v44, a);	// L20
  hls::stream< ap_int<64> > b /* b[6][2] */;	// L72
  #pragma HLS stream variable=b depth=2
  Stage_conv(a, b);	// L46
  Stage_store(b, v45);	// L61
}

