#pragma once

#include <array>
#include <cstdint>

namespace plasticity::draw {

/// A colour in sRGB, 8 bits a channel.
struct Colour {
  std::uint8_t r = 0, g = 0, b = 0;
  bool operator==(const Colour&) const = default;
};

inline constexpr Colour white{255, 255, 255};
inline constexpr Colour ink{36, 41, 51};       ///< titles
inline constexpr Colour muted{102, 110, 122};  ///< axes, captions
inline constexpr Colour grid{231, 234, 239};   ///< lines that stay behind
inline constexpr Colour axis{170, 177, 188};
inline constexpr Colour hidden{226, 232, 241};  ///< what is not known; with stripes of
inline constexpr Colour hidden_stripe{203, 212, 226};
inline constexpr Colour alarm{196, 64, 58};  ///< what should not be: a value that is not a number

/// Colours for the series of a chart: told apart by colour-blind eyes too, dark enough for text on white.
inline constexpr std::array<Colour, 6> series_colours{
    {{36, 98, 168}, {201, 91, 18}, {33, 128, 98}, {140, 82, 158}, {150, 106, 12}, {84, 92, 106}}};

}  // namespace plasticity::draw
