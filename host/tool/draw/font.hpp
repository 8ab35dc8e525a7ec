#pragma once

#include <array>
#include <cstdint>

// A proportional bitmap font: printable ASCII, 12 rows high, 1 to 7 columns wide, digits all alike.
namespace plasticity::draw {

inline constexpr int glyph_rows = 12;     ///< of a cell; the first and the last are free in most glyphs
inline constexpr int glyph_baseline = 9;  ///< rows from the top of the cell down to the baseline
inline constexpr int glyph_spacing = 1;   ///< free columns between two glyphs

struct Glyph {
  int width = 0;                                   ///< columns
  std::array<std::uint8_t, glyph_rows> rows = {};  ///< bit c: column c, from the left, is inked
};

/// What to draw for a character; a box for all that is not printable ASCII.
const Glyph& glyph(char character);

/// Whether a byte of UTF-8 text begins a character: one that goes on gets no glyph of its own.
bool starts_character(char byte);

}  // namespace plasticity::draw
