#include "tool/draw/canvas.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>

#include "base/throw_error.hpp"

namespace plasticity::draw {
namespace {

constexpr int longest_side = 16384;

void require(const char* argument, int value, int low, int high) {
  if (value < low || value > high)
    bad_argument(argument, plasticity::str_cat("in [", low, ", ", high, "]"), std::to_string(value));
}

std::uint8_t mix(std::uint8_t under, std::uint8_t over, double share) {
  return static_cast<std::uint8_t>(std::lround(under + share * (over - under)));
}

Colour mix(Colour under, Colour over, double share) {
  return {mix(under.r, over.r, share), mix(under.g, over.g, share), mix(under.b, over.b, share)};
}

bool finite(Point p) { return std::isfinite(p.x) && std::isfinite(p.y); }

struct Segment {
  Point from, to;
};

/// The part of a segment in [low, high] of each coordinate, so that far ends cost nothing (Liang and Barsky).
std::optional<Segment> clip(Segment s, Point low, Point high) {
  // Halved, since a difference of two finite numbers may not be finite.
  const double dx = s.to.x / 2 - s.from.x / 2, dy = s.to.y / 2 - s.from.y / 2;
  double enter = 0, leave = 1;
  const auto cut = [&](double from, double half_step, double least, double most) {
    if (half_step == 0) return from >= least && from <= most;
    const double a = (least / 2 - from / 2) / half_step, b = (most / 2 - from / 2) / half_step;
    enter = std::max(enter, std::min(a, b));
    leave = std::min(leave, std::max(a, b));
    return enter <= leave;
  };
  if (!cut(s.from.x, dx, low.x, high.x) || !cut(s.from.y, dy, low.y, high.y)) return std::nullopt;
  const auto along = [&](double t) {
    return Point{std::lerp(s.from.x, s.to.x, t), std::lerp(s.from.y, s.to.y, t)};
  };
  return Segment{along(enter), along(leave)};
}

double distance(Point p, const Segment& s) {
  const double dx = s.to.x - s.from.x, dy = s.to.y - s.from.y, length2 = dx * dx + dy * dy;
  const double dot = (p.x - s.from.x) * dx + (p.y - s.from.y) * dy;
  const double t = length2 > 0 ? std::clamp(dot / length2, 0.0, 1.0) : 0.0;
  return std::hypot(p.x - s.from.x - t * dx, p.y - s.from.y - t * dy);
}

/// Around all pixels within `reach` of a clipped segment.
Box around(const Segment& s, double reach) {
  const auto pixel = [](double v) {
    return static_cast<int>(std::clamp(v, -2.0 * longest_side, 2.0 * longest_side));
  };
  const int left = pixel(std::floor(std::min(s.from.x, s.to.x) - reach));
  const int top = pixel(std::floor(std::min(s.from.y, s.to.y) - reach));
  const int right = pixel(std::ceil(std::max(s.from.x, s.to.x) + reach));
  const int bottom = pixel(std::ceil(std::max(s.from.y, s.to.y) + reach));
  return {left, top, right - left, bottom - top};
}

}  // namespace

Canvas::Canvas(int width, int height, Colour background) : width_(width), height_(height) {
  require("width", width, 1, longest_side);
  require("height", height, 1, longest_side);
  pixels_.assign(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), background);
}

Colour Canvas::at(int x, int y) const {
  require("x", x, 0, width_ - 1);
  require("y", y, 0, height_ - 1);
  return pixels_[index(x, y)];
}

std::size_t Canvas::index(int x, int y) const {
  return static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) + static_cast<std::size_t>(x);
}

Box Canvas::inside(Box box) const {
  const auto clamp = [](std::int64_t value, int most) {
    return static_cast<int>(std::clamp<std::int64_t>(value, 0, most));
  };
  const int left = clamp(box.x, width_), top = clamp(box.y, height_);
  const int right = clamp(std::int64_t{box.x} + box.width, width_);
  const int bottom = clamp(std::int64_t{box.y} + box.height, height_);
  return {left, top, std::max(0, right - left), std::max(0, bottom - top)};
}

void Canvas::blend(int x, int y, Colour colour, double opacity) {
  Colour& pixel = pixels_[index(x, y)];
  pixel = opacity >= 1 ? colour : mix(pixel, colour, opacity);
}

void Canvas::fill_rectangle(Box box, Colour colour, double opacity) {
  if (!(opacity > 0)) return;
  const Box in = inside(box);
  for (int y = in.y; y < in.y + in.height; ++y)
    for (int x = in.x; x < in.x + in.width; ++x) blend(x, y, colour, opacity);
}

void Canvas::outline(Box box, Colour colour, int thickness) {
  const std::int64_t right = std::int64_t{box.x} + box.width - thickness;
  const std::int64_t bottom = std::int64_t{box.y} + box.height - thickness;
  const std::int64_t left = std::int64_t{box.x} + thickness, top = std::int64_t{box.y} + thickness;
  const Box in = inside(box);
  for (int y = in.y; y < in.y + in.height; ++y)
    for (int x = in.x; x < in.x + in.width; ++x)
      if (x < left || x >= right || y < top || y >= bottom) blend(x, y, colour, 1);
}

void Canvas::hatch(Box box, Colour colour, double opacity, int period, int thickness) {
  if (!(opacity > 0)) return;
  require("period", period, 1, longest_side);
  const Box in = inside(box);
  for (int y = in.y; y < in.y + in.height; ++y)
    for (int x = in.x; x < in.x + in.width; ++x)
      if ((x + y) % period < thickness) blend(x, y, colour, opacity);
}

void Canvas::line(Point from, Point to, Colour colour, double thickness) {
  polyline(std::array{from, to}, colour, thickness);
}

void Canvas::polyline(std::span<const Point> points, Colour colour, double thickness) {
  if (points.empty() || !(thickness > 0) || !std::isfinite(thickness)) return;
  const double reach = thickness / 2 + 0.5;
  std::vector<Segment> seen;
  Box all{width_, height_, -width_, -height_};  // around what is seen of the segments
  const auto add = [&](Point from, Point to) {
    if (!finite(from) || !finite(to)) return;
    const auto part = clip({from, to}, {-reach, -reach}, {width_ + reach, height_ + reach});
    if (!part) return;
    const Box box = inside(around(*part, reach));
    const int right = std::max(all.x + all.width, box.x + box.width);
    const int bottom = std::max(all.y + all.height, box.y + box.height);
    all.x = std::min(all.x, box.x);
    all.y = std::min(all.y, box.y);
    all.width = right - all.x;
    all.height = bottom - all.y;
    seen.push_back(*part);
  };
  if (points.size() == 1) add(points[0], points[0]);
  for (std::size_t i = 1; i < points.size(); ++i) add(points[i - 1], points[i]);
  if (seen.empty() || all.width <= 0 || all.height <= 0) return;

  const auto columns = static_cast<std::size_t>(all.width);
  std::vector<double> cover(columns *
                            static_cast<std::size_t>(all.height));  // the share that is under the line
  const auto cover_at = [&](int x, int y) -> double& {
    return cover[static_cast<std::size_t>(y - all.y) * columns + static_cast<std::size_t>(x - all.x)];
  };
  for (const Segment& s : seen) {
    const Box box = inside(around(s, reach));
    for (int y = box.y; y < box.y + box.height; ++y) {
      for (int x = box.x; x < box.x + box.width; ++x) {
        const double share = reach - distance({x + 0.5, y + 0.5}, s);
        cover_at(x, y) = std::max(cover_at(x, y), std::clamp(share, 0.0, std::min(1.0, thickness)));
      }
    }
  }
  for (int y = all.y; y < all.y + all.height; ++y)
    for (int x = all.x; x < all.x + all.width; ++x)
      if (cover_at(x, y) > 0) blend(x, y, colour, cover_at(x, y));
}

io::Image Canvas::image() const {
  io::Image image{width_, height_, 3, {}};
  image.pixels.reserve(pixels_.size() * 3);
  for (const Colour& c : pixels_) image.pixels.insert(image.pixels.end(), {c.r, c.g, c.b});
  return image;
}

}  // namespace plasticity::draw
