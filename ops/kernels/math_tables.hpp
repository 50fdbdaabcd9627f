// The coefficients of functions that are written twice: for Highway's vectors (math-inl.hpp) and for
// assembled loops (loop_assemble.cpp). They come from tools/fit_polynomials.py.
#pragma once

namespace tapestry::kernels::tables {

// e^x of f32 with x = n ln 2 + r: 1 + r p(r).
inline constexpr float kExp[] = {1, 0.5, 0.16666576f, 0.0416665534f, 0.00836334581f, 0.00139263919f};
inline constexpr float kExpLow = -104, kExpHigh = 89;  // beyond these it is 0 or infinite
inline constexpr float kLog2E = 1.44269504f;
inline constexpr float kLn2High = 0x1.62e8p-1, kLn2Low = -0x1.e8082ep-16;
/// Added and taken off again, it rounds to an integer.
inline constexpr float kRounder = 0x1.8p23;

// erf(k w + t) for |t| <= w / 2: coefficients of t^j, one of 16 for each k. The width w is chosen so that the
// constants lose little by rounding. For k = 0 it is t more than that: 0.128... loses less than 1.128...
inline constexpr float kErfWidth = 1066642 * 0x1p-22f;
// clang-format off
alignas(64) inline constexpr float kErf[6][16] = {
    {0, 0.280887216f, 0.528037486f, 0.719383015f, 0.849730206f, 0.927858475f, 0.969061962f, 0.988181357f, 0.995987258f, 0.998791232f, 0.999677408f, 0.999923814f, 0.999984093f, 0.999997066f, 0.999999522f, 0.999999931f},
    {0.128379164f, 1.05771408f, 0.871180133f, 0.630484034f, 0.400928264f, 0.224019439f, 0.109984424f, 0.0474463836f, 0.0179846297f, 0.00598999341f, 0.00175298281f, 0.00045077047f, 0.000101849702f, 2.02204402e-5f, 3.52734572e-6f, 5.4066976e-7f},
    {0, -0.268978383f, -0.443087609f, -0.48100632f, -0.407836811f, -0.284852042f, -0.167821736f, -0.0844628596f, -0.0365889383f, -0.0137092451f, -0.00445757743f, -0.00126076257f, -0.000310723667f, -6.68184168e-5f, -1.25500098e-5f, -2.06048648e-6f},
    {-0.376122456f, -0.306965918f, -0.140151265f, 0.0344846168f, 0.14293014f, 0.166790245f, 0.134049683f, 0.0844218049f, 0.0436313858f, 0.0189222357f, 0.0069735311f, 0.00220127353f, 0.000598337234f, 0.000140573817f, 2.86255558e-5f, 5.06302053e-6f},
    {0, 0.127703196f, 0.18213869f, 0.146570884f, 0.0634008508f, -0.0105649058f, -0.0458831621f, -0.0467998269f, -0.0321930111f, -0.0171578062f, -0.00744476328f, -0.00269389552f, -0.000824207967f, -0.000215088883f, -4.81627429e-5f, -9.29331702e-6f},
    {0.112188655f, 0.0786166041f, 0.00489217439f, -0.0548107186f, -0.0682643502f, -0.0443314067f, -0.0120633956f, 0.00798971341f, 0.0130319768f, 0.00995475411f, 0.00543116112f, 0.00232925269f, 0.000816714996f, 0.00023899793f, 5.90970801e-5f, 1.24487327e-5f},
};
// clang-format on
/// From here on it is 1.
inline constexpr float kErfOne = 3.925f;

}  // namespace tapestry::kernels::tables
