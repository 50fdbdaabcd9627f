// The coefficients of functions that are written twice: for Highway's vectors (math-inl.hpp) and for
// assembled loops (loop_assemble.cpp). They come from tools/fit_polynomials.py.
#pragma once

namespace tapestry::kernels::tables {

// e^x of f32 with x = n ln 2 + r, n in sixteenths, and n = floor(n) + k / 16: 2^floor(n) kExpPowers[k] e^r.
// clang-format off
alignas(64) inline constexpr float kExpPowers[16] = {1, 1.0442737f, 1.0905077f, 1.1387886f, 1.1892071f, 1.2418578f, 1.2968396f, 1.3542556f, 1.4142135f, 1.4768262f, 1.5422108f, 1.6104903f, 1.6817929f, 1.7562522f, 1.8340081f, 1.9152066f};
// clang-format on
/// e^r = 1 + r + r^2 (kExp[0] + kExp[1] r). A little more than 1/2: where r counts for most, that makes up
/// for the powers, of which those with the largest errors are too small.
inline constexpr float kExp[] = {0.500024f, 0.166666667f};
inline constexpr float kExpLow = -104, kExpHigh = 89;  // beyond these it is 0 or infinite
inline constexpr float kLog2E = 1.44269504f;
inline constexpr float kLn2High = 0x1.62e8p-1, kLn2Low = -0x1.e8082ep-16;
/// More than any r between them, ln 2 / 32.
inline constexpr float kExpLargestRest = 0.03f;
/// Added and taken off again, it rounds to sixteenths; the lowest 4 bits of the sum are k.
inline constexpr float kExpRounder = 0x1.8p19;

// erf(k / 4 + t) for |t| <= 1/8: coefficients of t^j, one of 16 for each k. For k = 0 it is t more than that:
// 0.128... loses less than 1.128...
// clang-format off
alignas(64) inline constexpr float kErf[6][16] = {
    {0, 0.276326388f, 0.520499885f, 0.711155653f, 0.842700779f, 0.92290014f, 0.966105163f, 0.986671686f, 0.995322287f, 0.998537302f, 0.999593019f, 0.999899387f, 0.999977887f, 0.999995708f, 0.999999285f, 0.999999881f},
    {0.128379166f, 1.06001425f, 0.87878269f, 0.642931044f, 0.415107489f, 0.236521125f, 0.118930288f, 0.0527749956f, 0.0206669848f, 0.00714231888f, 0.00217828434f, 0.000586277223f, 0.000139253054f, 2.91890246e-5f, 5.39942675e-6f, 1.64338633e-6f},
    {0, -0.264998943f, -0.439388603f, -0.482204497f, -0.41510126f, -0.295659781f, -0.178406f, -0.0923648328f, -0.0413451418f, -0.0160792284f, -0.0054310225f, -0.00161673012f, -0.000406175735f, -0.00010049354f, -3.29068971e-5f, -2.05467995e-6f},
    {-0.376123309f, -0.309194744f, -0.146496028f, 0.026790604f, 0.138368875f, 0.167534903f, 0.138752848f, 0.0901580751f, 0.0482234955f, 0.0217246693f, 0.00835000072f, 0.00276030949f, 0.000789050246f, 0.000195787943f, 4.22880039e-5f, -0.000196378052f},
    {0, 0.126088455f, 0.182141021f, 0.150659159f, 0.0688618198f, -0.00529828295f, -0.043628715f, -0.047417786f, -0.0337329321f, -0.0185600296f, -0.00959208142f, -0.00300213904f, -0.00178640604f, 6.43246458e-5f, 0.000814542058f, -6.94117116e-5f},
    {0.112241365f, 0.0809142143f, 0.00913199969f, -0.0529700145f, -0.0688950121f, -0.0470779054f, -0.0149857337f, 0.00648346078f, 0.0130056879f, 0.010640529f, 0.00613081409f, 0.00277118944f, 0.00102571666f, 0.000317903701f, 8.35268729e-5f, 0.0107245184f},
};
// clang-format on
/// Added, it rounds to quarters; the lowest 4 bits of the sum are k.
inline constexpr float kErfRounder = 0x1.8p21;
/// Up to here k is 0.
inline constexpr float kErfFirst = 0.125f;
/// From here on it is 1: the last float for which k is 15.
inline constexpr float kErfOne = 0x1.effffep1;

// The derivative of GELU less 1/2, at k w + t with w = kGeluSlopeWidth and |t| <= w / 2: coefficients of t^j,
// one of 16 for each k.
// clang-format off
alignas(64) inline constexpr float kGeluSlope[6][16] = {
    {0, 0.294215739f, 0.509804964f, 0.613449514f, 0.62544322f, 0.591962397f, 0.552124798f, 0.52398771f, 0.509159565f, 0.502935588f, 0.500795066f, 0.500182748f, 0.500035763f, 0.50000596f, 0.500000834f, 0.500000119f},
    {0.797884524f, 0.684603453f, 0.41344732f, 0.1316524f, -0.0483036079f, -0.107094236f, -0.091052182f, -0.0539746992f, -0.0248604976f, -0.00926467497f, -0.00284953322f, -0.000731582055f, -0.000157905932f, -2.87919793e-5f, -4.45007254e-6f, -1.15127784e-6f},
    {2.65334734e-6f, -0.276038826f, -0.389173687f, -0.312493384f, -0.148589298f, -0.0145601733f, 0.0436882935f, 0.0458723977f, 0.0284027141f, 0.0129709747f, 0.00466875779f, 0.0013675692f, 0.000328996539f, 6.80112571e-5f, 1.46728189e-5f, 3.56678214e-7f},
    {-0.266021103f, -0.183277309f, -0.00770821469f, 0.122918092f, 0.140919819f, 0.0833052248f, 0.0205822382f, -0.0111341123f, -0.0158347916f, -0.0101486426f, -0.00453781663f, -0.00156043866f, -0.000429396256f, -9.65343497e-5f, -1.79528506e-5f, 6.69449801e-5f},
    {0.000551181496f, 0.0967650339f, 0.111153983f, 0.0488696508f, -0.0198992193f, -0.0449406318f, -0.0316740535f, -0.0100020012f, 0.00197792822f, 0.00435874052f, 0.00287008728f, 0.00116562156f, 0.000409317028f, 5.60549815e-5f, -7.04073464e-5f, 2.51188521e-5f},
    {0.0578908771f, 0.0327191129f, -0.0170577299f, -0.0404926091f, -0.0259760693f, -0.000620155712f, 0.0114185093f, 0.00925393682f, 0.00324310595f, -0.000236959007f, -0.000950882444f, -0.000612999371f, -0.000250834157f, -7.61227711e-5f, -1.80920852e-5f, -0.00158043997f},
};
// clang-format on
inline constexpr float kGeluSlopeWidth = 0.3875f, kGeluSlopeParts = 1 / kGeluSlopeWidth;
/// Added, it rounds to integers; the lowest 4 bits of the sum are k.
inline constexpr float kGeluSlopeRounder = 0x1.8p23;
/// From here on it is 1/2: the last float for which k is 15.
inline constexpr float kGeluSlopeOne = 0x1.806664p+2f;

}  // namespace tapestry::kernels::tables
