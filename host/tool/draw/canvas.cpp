#include "tool/draw/canvas.hpp"

#include <algorithm>
#include <cmath>

#include "base/throw_error.hpp"
#include "io/messages.hpp"

#ifdef __SANITIZE_ADDRESS__
// Cairo keeps fonts until the program ends. fontconfig refers to parts of them by offsets, which
// LeakSanitizer does not follow.
extern "C" PLASTICITY_API const char* __lsan_default_suppressions();
extern "C" PLASTICITY_API const char* __lsan_default_options();
const char* __lsan_default_suppressions() { return "leak:libfontconfig"; }
const char* __lsan_default_options() { return "print_suppressions=0"; }  // the tool's output stays its own
#endif

namespace plasticity::draw {
namespace {

constexpr int max_side = 16384;         // pixels
constexpr double half_capital = 0.365;  // half the height of a capital, in sizes of the font

void check_side(const char* name, int points, int scale) {
  const std::int64_t pixels = std::int64_t{points} * scale;
  if (points < 1 || scale < 1 || pixels > max_side)
    bad_argument(name, str_cat("1 to ", max_side, " pixels"),
                 str_cat(points, " points of ", scale, " pixels"));
}

/// A pixel of CAIRO_FORMAT_RGB24.
std::uint32_t rgb24(Colour colour) {
  return std::uint32_t{colour.r} << 16 | std::uint32_t{colour.g} << 8 | std::uint32_t{colour.b};
}

Colour grey(float value) {
  if (std::isnan(value)) return alarm;
  const float share = (std::clamp(value, -1.0f, 1.0f) + 1) / 2;
  const auto level = static_cast<std::uint8_t>(std::lround(share * 255));
  return {level, level, level};
}

void check(cairo_status_t status, const std::string& call) {
  if (status != CAIRO_STATUS_SUCCESS)
    throw_error(ErrorCode::out_of_memory, call, "Cairo to succeed", cairo_status_to_string(status));
}

std::size_t row_start(int row, int stride) {
  return static_cast<std::size_t>(row) * static_cast<std::size_t>(stride);
}

/// The pixels of row `row` of a surface in CAIRO_FORMAT_RGB24.
std::uint32_t* pixel_row(cairo_surface_t* surface, int row) {
  unsigned char* data = cairo_image_surface_get_data(surface);
  const int stride = cairo_image_surface_get_stride(surface);
  return reinterpret_cast<std::uint32_t*>(data + row_start(row, stride));
}

}  // namespace

Canvas::Canvas(int width, int height, int scale) : width_(width), height_(height), scale_(scale) {
  check_side("width", width, scale);
  check_side("height", height, scale);
  surface_.reset(cairo_image_surface_create(CAIRO_FORMAT_RGB24, width * scale, height * scale));
  check(cairo_surface_status(surface_.get()), "canvas");
  context_.reset(cairo_create(surface_.get()));
  check(cairo_status(context_.get()), "canvas");
  cairo_scale(context_.get(), scale, scale);
  cairo_set_line_join(context_.get(), CAIRO_LINE_JOIN_ROUND);
  // Widths of text that do not depend on the scale, and grey edges instead of coloured ones.
  cairo_font_options_t* options = cairo_font_options_create();
  cairo_font_options_set_antialias(options, CAIRO_ANTIALIAS_GRAY);
  cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE);
  cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
  cairo_set_font_options(context_.get(), options);
  cairo_font_options_destroy(options);
  fill({0, 0, static_cast<double>(width), static_cast<double>(height)}, white);
}

double Canvas::snap(double coordinate) const { return std::round(coordinate * scale_) / scale_; }

void Canvas::set_colour(Colour colour, double opacity) {
  cairo_set_source_rgba(context_.get(), colour.r / 255.0, colour.g / 255.0, colour.b / 255.0, opacity);
}

void Canvas::fill(Box box, Colour colour, double opacity) {
  set_colour(colour, opacity);
  cairo_rectangle(context_.get(), box.x, box.y, box.width, box.height);
  cairo_fill(context_.get());
}

void Canvas::outline(Box box, Colour colour, double thickness) {
  set_colour(colour);
  cairo_set_line_width(context_.get(), thickness);
  cairo_rectangle(context_.get(), box.x + thickness / 2, box.y + thickness / 2, box.width - thickness,
                  box.height - thickness);
  cairo_stroke(context_.get());
}

void Canvas::dot(Point centre, double radius, Colour colour) {
  set_colour(colour);
  cairo_arc(context_.get(), centre.x, centre.y, radius, 0, 2 * 3.14159265358979);
  cairo_fill(context_.get());
}

void Canvas::line(std::span<const Point> points, Colour colour, double thickness, bool dashed) {
  set_colour(colour);
  cairo_set_line_width(context_.get(), thickness);
  cairo_set_line_cap(context_.get(), dashed ? CAIRO_LINE_CAP_BUTT : CAIRO_LINE_CAP_ROUND);
  const double dash[] = {5, 4};  // points
  cairo_set_dash(context_.get(), dash, dashed ? 2 : 0, 0);
  for (const Point& point : points) cairo_line_to(context_.get(), point.x, point.y);
  cairo_stroke(context_.get());
  cairo_set_dash(context_.get(), nullptr, 0, 0);
}

void Canvas::polygon(std::span<const Point> corners, Colour colour, double opacity) {
  set_colour(colour, opacity);
  for (const Point& corner : corners) cairo_line_to(context_.get(), corner.x, corner.y);
  cairo_fill(context_.get());
}

void Canvas::set_font(const TextStyle& style) {
  cairo_select_font_face(context_.get(), "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                         style.bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size(context_.get(), style.size);
}

double Canvas::text_width(const std::string& line, const TextStyle& style) {
  set_font(style);
  cairo_text_extents_t extents{};
  cairo_text_extents(context_.get(), line.c_str(), &extents);
  const cairo_status_t status = cairo_status(context_.get());
  if (status == CAIRO_STATUS_INVALID_STRING) bad_argument("text", "UTF-8", io::printable(line));
  check(status, "text");
  return extents.x_advance;
}

void Canvas::text(Point at, const std::string& line, const TextStyle& style) {
  const double width = text_width(line, style);
  set_colour(style.colour);
  const double left = style.anchor == Anchor::left     ? at.x
                      : style.anchor == Anchor::centre ? at.x - width / 2
                                                       : at.x - width;
  cairo_move_to(context_.get(), left, at.y);
  cairo_show_text(context_.get(), line.c_str());
  cairo_new_path(context_.get());
}

void Canvas::text_in_middle(Point at, const std::string& line, const TextStyle& style) {
  text({at.x, at.y + half_capital * style.size}, line, style);
}

void Canvas::picture(Box box, std::span<const float> values, int rows, int columns,
                     std::span<const std::uint8_t> unseen) {
  if (rows < 1 || rows > max_side) bad_argument("rows", str_cat("1 to ", max_side), str_cat(rows));
  if (columns < 1 || columns > max_side)
    bad_argument("columns", str_cat("1 to ", max_side), str_cat(columns));
  const std::size_t size = static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
  if (values.size() != size) bad_argument("values", str_cat(size, " values"), str_cat(values.size()));
  if (!unseen.empty() && unseen.size() != size)
    bad_argument("unseen", str_cat(size, " values, or none"), str_cat(unseen.size()));

  const std::unique_ptr<cairo_surface_t, Destroy> pixels(
      cairo_image_surface_create(CAIRO_FORMAT_RGB24, columns, rows));
  check(cairo_surface_status(pixels.get()), "picture");
  for (int row = 0; row < rows; ++row)
    std::transform(&values[row_start(row, columns)], &values[row_start(row, columns)] + columns,
                   pixel_row(pixels.get(), row), [](float value) { return rgb24(grey(value)); });
  cairo_surface_mark_dirty(pixels.get());

  cairo_save(context_.get());
  cairo_rectangle(context_.get(), box.x, box.y, box.width, box.height);
  cairo_clip(context_.get());
  cairo_translate(context_.get(), box.x, box.y);
  cairo_scale(context_.get(), box.width / columns, box.height / rows);
  cairo_set_source_surface(context_.get(), pixels.get(), 0, 0);
  cairo_pattern_set_filter(cairo_get_source(context_.get()), CAIRO_FILTER_NEAREST);
  cairo_paint(context_.get());
  cairo_restore(context_.get());
  if (!unseen.empty()) hatch(box, unseen, rows, columns);
}

/// Covers the pixels of a picture that are unseen with diagonal stripes, which line up over the canvas.
void Canvas::hatch(Box box, std::span<const std::uint8_t> unseen, int rows, int columns) {
  constexpr double period = 6, thickness = 1.4;
  cairo_t* context = context_.get();
  cairo_save(context);
  const double width = box.width / columns, height = box.height / rows;
  for (int row = 0; row < rows; ++row)
    for (int column = 0; column < columns; ++column)
      if (unseen[row_start(row, columns) + static_cast<std::size_t>(column)] != 0)
        cairo_rectangle(context, box.x + column * width, box.y + row * height, width, height);
  cairo_set_antialias(context, CAIRO_ANTIALIAS_NONE);
  cairo_clip(context);
  cairo_set_antialias(context, CAIRO_ANTIALIAS_DEFAULT);
  set_colour(hidden);
  cairo_paint(context);
  set_colour(hidden_stripe);
  cairo_set_line_width(context, thickness);
  cairo_set_line_cap(context, CAIRO_LINE_CAP_SQUARE);
  const double first = std::floor((box.x + box.y) / period) * period;
  const int stripes = static_cast<int>(std::ceil((box.right() + box.bottom() - first) / period));
  for (int k = 0; k < stripes; ++k) {
    const double sum = first + k * period;
    cairo_move_to(context, sum - box.bottom(), box.bottom());
    cairo_line_to(context, sum - box.y, box.y);
  }
  cairo_stroke(context);
  cairo_restore(context);
}

io::Image Canvas::image() const {
  check(cairo_status(context_.get()), "canvas");
  cairo_surface_flush(surface_.get());
  io::Image image{std::int64_t{width_} * scale_, std::int64_t{height_} * scale_, 3, {}};
  image.pixels.reserve(static_cast<std::size_t>(image.width * image.height * 3));
  for (int row = 0; row < image.height; ++row) {
    const std::uint32_t* pixels = pixel_row(surface_.get(), row);
    for (std::int64_t column = 0; column < image.width; ++column)
      for (const int shift : {16, 8, 0})
        image.pixels.push_back(static_cast<std::uint8_t>(pixels[column] >> shift & 0xff));
  }
  return image;
}

}  // namespace plasticity::draw
