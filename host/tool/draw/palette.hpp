#pragma once

#include <array>
#include <cstdint>

namespace plasticity::draw {

/// A colour in sRGB, 8 bits per channel.
struct Colour {
  std::uint8_t r = 0, g = 0, b = 0;
  bool operator==(const Colour&) const = default;
};

inline constexpr Colour white{255, 255, 255};
inline constexpr Colour ink{36, 41, 51};        ///< titles
inline constexpr Colour muted{96, 104, 116};    ///< axis labels, captions, reference lines
inline constexpr Colour grid{229, 232, 237};    ///< grid lines
inline constexpr Colour axis{150, 157, 168};    ///< the line of an axis
inline constexpr Colour hidden{226, 232, 241};  ///< pixels of a picture that the network does not see
inline constexpr Colour hidden_stripe{198, 208, 223};
inline constexpr Colour alarm{196, 64, 58};  ///< a pixel whose value is NaN

/// Colours of the curves of a chart, in this order. Any two differ by a CIE76 distance of at least 20, also
/// for readers with protanopia, deuteranopia or tritanopia. Each has a contrast of at least 3 to white.
inline constexpr std::array<Colour, 6> series_colours{
    {{36, 98, 168}, {201, 91, 18}, {0, 158, 115}, {87, 4, 8}, {34, 34, 85}, {85, 85, 85}}};

/// A darker shade of a curve's colour, for its name: a contrast of at least 4.5 to white.
constexpr Colour text_shade(Colour colour) {
  const auto mix = [](std::uint8_t from, std::uint8_t to) {
    return static_cast<std::uint8_t>((from * 7 + to * 3) / 10);
  };
  return {mix(colour.r, ink.r), mix(colour.g, ink.g), mix(colour.b, ink.b)};
}

}  // namespace plasticity::draw
