#include "tool/draw/palette.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace plasticity::draw {
namespace {

using Vector = std::array<double, 3>;
using Matrix = std::array<Vector, 3>;

Vector operator*(const Matrix& m, const Vector& v) {
  Vector product{};
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j) product[i] += m[i][j] * v[j];
  return product;
}

/// Linear sRGB in [0,1].
Vector linear(Colour colour) {
  const auto channel = [](std::uint8_t value) {
    const double c = value / 255.0;
    return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
  };
  return {channel(colour.r), channel(colour.g), channel(colour.b)};
}

constexpr Matrix to_xyz{{{0.4124, 0.3576, 0.1805}, {0.2126, 0.7152, 0.0722}, {0.0193, 0.1192, 0.9505}}};

double luminance(Colour colour) { return (to_xyz * linear(colour))[1]; }

/// Contrast to white, as WCAG 2 defines it.
double contrast(Colour colour) { return 1.05 / (luminance(colour) + 0.05); }

/// CIE L*a*b* for a white point of D65.
Vector lab(const Vector& rgb) {
  const Vector xyz = to_xyz * rgb;
  const auto f = [](double t) { return t > 0.008856 ? std::cbrt(t) : 7.787 * t + 16.0 / 116; };
  const double x = f(xyz[0] / 0.9505), y = f(xyz[1]), z = f(xyz[2] / 1.089);
  return {116 * y - 16, 500 * (x - y), 200 * (y - z)};
}

double distance(Colour a, Colour b, const Matrix& vision) {
  const auto seen = [&](Colour colour) {
    Vector rgb = vision * linear(colour);
    for (double& channel : rgb) channel = std::clamp(channel, 0.0, 1.0);
    return lab(rgb);
  };
  const Vector p = seen(a), q = seen(b);
  return std::hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]);
}

// The matrices of Machado, Oliveira and Fernandes (2009) for a severity of 1.
TEST(Palette, CurvesDifferForColourBlindReaders) {
  const std::pair<const char*, Matrix> visions[] = {
      {"normal", {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}}},
      {"protanopia",
       {{{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}}}},
      {"deuteranopia",
       {{{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}}}},
      {"tritanopia",
       {{{1.255528, -0.076749, -0.178779},
         {-0.078411, 0.930809, 0.147602},
         {0.004733, 0.691367, 0.303900}}}}};
  for (const auto& [name, vision] : visions)
    for (std::size_t a = 0; a < series_colours.size(); ++a)
      for (std::size_t b = 0; b < a; ++b)
        EXPECT_GE(distance(series_colours[a], series_colours[b], vision), 20) << name << ' ' << a << ' ' << b;
}

TEST(Palette, CurvesAndTheirNamesAreDarkEnoughOnWhite) {
  EXPECT_NEAR(contrast({0, 0, 0}), 21, 1e-3);
  EXPECT_GE(contrast(muted), 4.5);
  for (const Colour colour : series_colours) {
    EXPECT_GE(contrast(colour), 3);
    EXPECT_GE(contrast(text_shade(colour)), 4.5);
  }
}

}  // namespace
}  // namespace plasticity::draw
