/* What the files of RVV kernels that are instantiated by inclusion share. */
#ifndef HCK_RVV_H
#define HCK_RVV_H

#if defined(__riscv_vector)
#include <riscv_vector.h>
#endif

#define HCK_EACH_1(M) M(0)
#define HCK_EACH_2(M) HCK_EACH_1(M) M(1)
#define HCK_EACH_3(M) HCK_EACH_2(M) M(2)
#define HCK_EACH_4(M) HCK_EACH_3(M) M(3)
#define HCK_EACH_8(M) HCK_EACH_4(M) M(4) M(5) M(6) M(7)

#define HCK_JOIN_(a, b) a##b
#define HCK_JOIN(a, b) HCK_JOIN_(a, b)
#define HCK_NAME_(a, b, c, d) a##_##b##_##c##_##d
#define HCK_NAME(a, b, c, d) HCK_NAME_(a, b, c, d)

#endif
