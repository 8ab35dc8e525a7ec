#include "tool/draw/chart.hpp"

#include <algorithm>
#include <cmath>

#include "base/throw_error.hpp"
#include "tool/draw/axis.hpp"
#include "tool/draw/canvas.hpp"
#include "tool/draw/labels.hpp"

namespace plasticity::draw {
namespace {

// Lengths in points.
constexpr double margin = 20, hair = 1, curve_width = 2, dot_radius = 3;
constexpr double title_line = 21, caption_line = 18, name_pitch = 17;
constexpr double tick_gap = 8;      // from a tick label to the plot
constexpr double leader_start = 4;  // from the plot to the line that leads to a name
constexpr double leader_end = 12, name_start = 17;
constexpr double names_share = 0.4;  // of the width, at most
constexpr std::size_t max_dots = 16;
const TextStyle title_style{.size = 16, .bold = true}, caption_style{.size = 12.5, .colour = muted},
    tick_style{.size = 12, .colour = muted}, name_style{.size = 12.5};
const std::string no_data = ": no data";  // after the name of a curve without a point

struct Name {
  std::string text;
  Colour colour;
  double wanted;             // y of its middle
  bool at_the_edge = false;  // the curve ends at the right edge of the plot
};

class Chart {
 public:
  Chart(Canvas& canvas, std::span<const Curve> curves, const ChartOptions& options)
      : canvas_(canvas), curves_(curves), options_(options) {}

  void draw() {
    if (!lay_out()) return;
    draw_captions();
    draw_grid();
    draw_curves();
    draw_names();
  }

 private:
  Measure measure(const TextStyle& style) {
    return [this, style](const std::string& text) { return canvas_.text_width(text, style); };
  }
  bool shown(double x, double y) const { return drawable(x, options_.log_x) && drawable(y, options_.log_y); }
  bool any_shown(const Curve& curve) const {
    for (std::size_t k = 0; k < curve.x.size(); ++k)
      if (shown(curve.x[k], curve.y[k])) return true;
    return false;
  }
  bool has_reference() const { return options_.reference && drawable(options_.reference->y, options_.log_y); }
  Colour colour(std::size_t curve) const {
    return curves_[curve].colour.value_or(series_colours[curve % series_colours.size()]);
  }
  double at_x(double x) const { return plot_.x + x_->position(x) * plot_.width; }
  double at_y(double y) const { return plot_.y + (1 - y_->position(y)) * plot_.height; }

  bool lay_out();
  double width_of_names();
  void collect_names();
  void draw_captions();
  void draw_grid();
  void draw_band(const Curve& curve, Colour colour);
  bool draw_curve(const Curve& curve, Colour colour);
  void draw_curves();
  void draw_names();

  Canvas& canvas_;
  std::span<const Curve> curves_;
  const ChartOptions& options_;
  Box plot_;
  std::vector<std::string> title_;  // lines
  std::optional<Axis> x_, y_;
  std::vector<Name> names_;
};

/// The room that the names need at the right of the plot.
double Chart::width_of_names() {
  double widest = 0;
  for (const Curve& curve : curves_)
    if (!curve.name.empty())
      widest =
          std::max(widest, canvas_.text_width(curve.name + (any_shown(curve) ? "" : no_data), name_style));
  if (has_reference()) widest = std::max(widest, canvas_.text_width(options_.reference->label, name_style));
  return widest > 0 ? name_start + std::min(widest + hair, canvas_.width() * names_share) : 0;
}

/// Sets the plot's box, the axes and the names. Returns false if there is no room for a plot.
bool Chart::lay_out() {
  std::vector<double> xs, ys;
  for (const Curve& curve : curves_) {
    for (std::size_t k = 0; k < curve.x.size(); ++k) {
      if (!shown(curve.x[k], curve.y[k])) continue;
      xs.push_back(curve.x[k]);
      ys.push_back(curve.y[k]);
    }
    ys.insert(ys.end(), curve.low.begin(), curve.low.end());
    ys.insert(ys.end(), curve.high.begin(), curve.high.end());
  }
  if (has_reference()) ys.push_back(options_.reference->y);

  title_ = wrapped(options_.title, canvas_.width() - 2 * margin, 2, measure(title_style));
  const double top = margin + title_line * static_cast<double>(title_.size()) +
                     (options_.y_label.empty() ? 0 : caption_line) +
                     (title_.empty() && options_.y_label.empty() ? 0 : 12);
  const double bottom = margin + caption_line + (options_.x_label.empty() ? 0 : caption_line + 4);
  plot_.y = top;
  plot_.height = canvas_.height() - top - bottom;
  if (plot_.height < 2 * caption_line) return false;

  y_.emplace(ys, options_.log_y, 0.04, std::clamp(static_cast<int>(plot_.height / 48), 2, 8));
  double labels = 0;
  for (const std::string& label : y_->labels())
    labels = std::max(labels, canvas_.text_width(label, tick_style));
  plot_.x = canvas_.snap(margin + labels + tick_gap);
  plot_.width = canvas_.snap(canvas_.width() - plot_.x - margin - width_of_names());
  if (plot_.width < 2 * caption_line) return false;
  x_.emplace(xs, options_.log_x, 0.0, std::clamp(static_cast<int>(plot_.width / 72), 2, 10));
  collect_names();
  return true;
}

void Chart::collect_names() {
  for (std::size_t c = 0; c < curves_.size(); ++c) {
    const Curve& curve = curves_[c];
    if (curve.name.empty()) continue;
    std::size_t end = curve.x.size();
    while (end > 0 && !shown(curve.x[end - 1], curve.y[end - 1])) --end;
    if (end == 0) {
      names_.push_back({curve.name + no_data, muted, plot_.bottom()});
    } else {
      const bool at_the_edge = at_x(curve.x[end - 1]) > plot_.right() - 2;
      names_.push_back({curve.name, colour(c), at_y(curve.y[end - 1]), at_the_edge});
    }
  }
  if (has_reference() && !options_.reference->label.empty())
    names_.push_back({options_.reference->label, muted, at_y(options_.reference->y), true});

  const auto room = static_cast<std::size_t>(plot_.height / name_pitch) + 1;
  if (names_.size() > room) {
    const std::size_t more = names_.size() - (room - 1);
    names_.resize(room - 1);
    names_.push_back({str_cat("+", more, " more"), muted, plot_.bottom()});
  }
  std::stable_sort(names_.begin(), names_.end(),
                   [](const Name& a, const Name& b) { return a.wanted < b.wanted; });
}

void Chart::draw_captions() {
  const double width = canvas_.width() - 2 * margin;
  double baseline = margin - 5;
  for (const std::string& line : title_) canvas_.text({margin, baseline += title_line}, line, title_style);
  canvas_.text({margin, baseline + caption_line}, shortened(options_.y_label, width, measure(caption_style)),
               caption_style);
  TextStyle centred = caption_style;
  centred.anchor = Anchor::centre;
  canvas_.text({plot_.x + plot_.width / 2, canvas_.height() - margin},
               shortened(options_.x_label, plot_.width, measure(caption_style)), centred);
}

void Chart::draw_grid() {
  const auto across = [&](double value, double opacity) {
    canvas_.fill({plot_.x, canvas_.snap(at_y(value) - hair / 2), plot_.width, hair}, grid, opacity);
  };
  const auto upright = [&](double value, double opacity) {
    canvas_.fill({canvas_.snap(at_x(value) - hair / 2), plot_.y, hair, plot_.height}, grid, opacity);
  };
  for (const double value : y_->minor_ticks()) across(value, 0.5);
  for (const double value : x_->minor_ticks()) upright(value, 0.5);
  for (const double value : y_->ticks()) across(value, 1);
  for (const double value : x_->ticks()) upright(value, 1);
  canvas_.fill({plot_.x, canvas_.snap(plot_.bottom() - hair / 2), plot_.width, hair}, axis);

  // A label that would touch the label before it is left out.
  TextStyle style = tick_style;
  style.anchor = Anchor::right;
  double free_above = canvas_.height();
  for (std::size_t i = 0; i < y_->ticks().size(); ++i) {
    const double y = at_y(y_->ticks()[i]);
    if (y + tick_style.size / 2 > free_above) continue;
    canvas_.text_in_middle({plot_.x - tick_gap, y}, y_->labels()[i], style);
    free_above = y - tick_style.size / 2;
  }
  style.anchor = Anchor::centre;
  double free_from = 0;
  for (std::size_t i = 0; i < x_->ticks().size(); ++i) {
    const double x = at_x(x_->ticks()[i]), half = canvas_.text_width(x_->labels()[i], style) / 2;
    if (x - half < free_from || x + half > canvas_.width()) continue;
    canvas_.text({x, plot_.bottom() + caption_line}, x_->labels()[i], style);
    free_from = x + half + tick_gap;
  }
}

/// Fills between low and high, from point to point. The band has a gap beside a point where an edge is not
/// drawable.
void Chart::draw_band(const Curve& curve, Colour colour) {
  std::vector<Point> upper, lower;
  const auto end_run = [&] {
    if (upper.size() > 1) {
      upper.insert(upper.end(), lower.rbegin(), lower.rend());
      canvas_.polygon(upper, colour, 0.16);
    }
    upper.clear();
    lower.clear();
  };
  for (std::size_t k = 0; k < curve.low.size(); ++k) {
    if (!shown(curve.x[k], curve.low[k]) || !shown(curve.x[k], curve.high[k])) {
      end_run();
      continue;
    }
    upper.push_back({at_x(curve.x[k]), at_y(curve.high[k])});
    lower.push_back({at_x(curve.x[k]), at_y(curve.low[k])});
  }
  end_run();
}

/// Returns whether the curve has a point that is shown.
bool Chart::draw_curve(const Curve& curve, Colour colour) {
  const bool dots = curve.x.size() <= max_dots;
  bool any = false;
  std::vector<Point> run;
  const auto end_run = [&] {
    if (run.size() > 1) canvas_.line(run, colour, curve_width);
    for (const Point& point : run)
      if (dots || run.size() == 1) canvas_.dot(point, dot_radius, colour);
    any = any || !run.empty();
    run.clear();
  };
  for (std::size_t k = 0; k < curve.x.size(); ++k) {
    if (shown(curve.x[k], curve.y[k]))
      run.push_back({at_x(curve.x[k]), at_y(curve.y[k])});
    else
      end_run();
  }
  end_run();
  return any;
}

void Chart::draw_curves() {
  if (has_reference()) {
    const double y = canvas_.snap(at_y(options_.reference->y));
    canvas_.line(std::vector<Point>{{plot_.x, y}, {plot_.right(), y}}, muted, 1.5 * hair, true);
  }
  for (std::size_t c = 0; c < curves_.size(); ++c) draw_band(curves_[c], colour(c));
  bool any = false;
  // The first curve is on top.
  for (std::size_t c = curves_.size(); c-- > 0;) any = draw_curve(curves_[c], colour(c)) || any;
  TextStyle style = caption_style;
  style.anchor = Anchor::centre;
  if (!any) canvas_.text_in_middle({plot_.x + plot_.width / 2, plot_.y + plot_.height / 2}, "no data", style);
}

void Chart::draw_names() {
  std::vector<double> wanted;
  for (const Name& name : names_) wanted.push_back(name.wanted);
  const std::vector<double> middles = spread(wanted, name_pitch, plot_.y, plot_.bottom());
  const double room = canvas_.width() - margin - plot_.right() - name_start;
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const Name& name = names_[i];
    TextStyle style = name_style;
    style.colour = text_shade(name.colour);
    const Point from{plot_.right() + leader_start, name.at_the_edge ? name.wanted : middles[i]};
    const Point to{plot_.right() + leader_end, middles[i]};
    canvas_.line(std::vector<Point>{from, to}, name.colour, curve_width);
    canvas_.text_in_middle({plot_.right() + name_start, middles[i]},
                           shortened(name.text, room, measure(name_style)), style);
  }
}

void check_length(const Curve& curve, const char* name, const std::vector<double>& values) {
  if (values.size() != curve.x.size())
    bad_argument(str_cat("curve '", curve.name, "' ", name), str_cat(curve.x.size(), " values, one per x"),
                 str_cat(values.size()));
}

void check_side(const char* name, int points, int scale) {
  if (std::int64_t{points} * scale < 64 || std::int64_t{points} * scale > 16384)
    bad_argument(name, "64 to 16384 pixels", str_cat(points, " points of ", scale, " pixels"));
}

}  // namespace

io::Image line_chart(std::span<const Curve> curves, const ChartOptions& options) {
  check_side("options.width", options.width, options.scale);
  check_side("options.height", options.height, options.scale);
  for (const Curve& curve : curves) {
    check_length(curve, "y", curve.y);
    if (curve.low.empty() && curve.high.empty()) continue;
    check_length(curve, "low", curve.low);
    check_length(curve, "high", curve.high);
  }
  Canvas canvas(options.width, options.height, options.scale);
  Chart(canvas, curves, options).draw();
  return canvas.image();
}

}  // namespace plasticity::draw
