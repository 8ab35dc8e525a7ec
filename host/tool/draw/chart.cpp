#include "tool/draw/chart.hpp"

#include <algorithm>
#include <cmath>

#include "base/throw_error.hpp"
#include "tool/draw/axis.hpp"
#include "tool/draw/labels.hpp"

namespace plasticity::draw {
namespace {

constexpr const char* no_data = ": no data";  // after the name of a series that has none

/// A name beside the plot.
struct EndLabel {
  std::string text;
  Colour colour;
  double wanted;             // y, of the middle
  bool at_the_edge = false;  // the curve goes up to the right edge of the plot
};

/// What line_chart() knows while it draws.
class Chart {
 public:
  Chart(Canvas& canvas, Box box, std::span<const Series> series, const ChartOptions& options)
      : canvas_(canvas), box_(box), series_(series), options_(options), s_(options.scale) {}

  void draw() {
    if (!lay_out()) return;
    draw_titles();
    draw_grid();
    draw_curves();
    draw_end_labels();
  }

 private:
  int right() const { return box_.x + box_.width - margin(); }
  int margin() const { return 16 * s_; }
  int line_height() const { return Canvas::text_height(s_); }
  int pitch() const { return line_height() + s_; }

  bool shown(const std::pair<double, double>& p) const {
    return drawable(p.first, options_.log_x) && drawable(p.second, options_.log_y);
  }
  bool any_shown(const Series& series) const {
    return std::any_of(series.points.begin(), series.points.end(), [&](const auto& p) { return shown(p); });
  }
  bool has_reference() const { return options_.reference && drawable(options_.reference->y, options_.log_y); }
  Point place(const std::pair<double, double>& p) const {
    return {plot_.x + x_->position(p.first) * plot_.width,
            plot_.y + (1 - y_->position(p.second)) * plot_.height};
  }

  bool lay_out();
  void collect_end_labels();
  void draw_titles();
  void draw_grid();
  void draw_band(const Series& series);
  void draw_curves();
  void draw_end_labels();

  Canvas& canvas_;
  Box box_, plot_;
  std::span<const Series> series_;
  const ChartOptions& options_;
  int s_;
  std::optional<Axis> x_, y_;
  std::vector<EndLabel> ends_;
};

/// Margins, axes and the names beside the plot. False: no room for a plot.
bool Chart::lay_out() {
  std::vector<double> xs, ys;
  for (const Series& series : series_) {
    for (const auto& p : series.points) {
      if (!shown(p)) continue;
      xs.push_back(p.first);
      ys.push_back(p.second);
    }
    for (const auto& [low, high] : series.band) {
      ys.push_back(low);
      ys.push_back(high);
    }
  }
  if (has_reference()) ys.push_back(options_.reference->y);

  int names = 0;  // the widest
  const auto name = [&](const std::string& text) { names = std::max(names, Canvas::text_width(text, s_)); };
  for (const Series& series : series_)
    if (!series.name.empty()) name(series.name + (any_shown(series) ? "" : no_data));
  if (has_reference()) name(options_.reference->label);
  if (names > 0) names = std::min(names, box_.width * 2 / 5) + 14 * s_;

  const int top = margin() + (options_.title.empty() ? 0 : line_height() + 8 * s_) +
                  (options_.y_label.empty() ? 0 : line_height() + 9 * s_);
  const int bottom =
      margin() + line_height() + 6 * s_ + (options_.x_label.empty() ? 0 : line_height() + 4 * s_);
  plot_.y = box_.y + top;
  plot_.height = box_.height - top - bottom;
  if (plot_.height < 2 * line_height()) return false;

  y_.emplace(ys, options_.log_y, 0.04, std::clamp(plot_.height / (3 * line_height()), 2, 8));
  int left = 0;
  for (const std::string& label : y_->labels()) left = std::max(left, Canvas::text_width(label, s_));
  left += margin() + 6 * s_;
  plot_.x = box_.x + left;
  plot_.width = box_.width - left - names - margin();
  if (plot_.width < 2 * line_height()) return false;
  x_.emplace(xs, options_.log_x, 0.0, std::clamp(plot_.width / (64 * s_), 2, 10));
  collect_end_labels();
  return true;
}

void Chart::collect_end_labels() {
  for (const Series& series : series_) {
    if (series.name.empty()) continue;
    const auto last =
        std::find_if(series.points.rbegin(), series.points.rend(), [&](const auto& p) { return shown(p); });
    if (last == series.points.rend()) {
      ends_.push_back({series.name + no_data, muted, static_cast<double>(plot_.y + plot_.height)});
    } else {
      const Point end = place(*last);
      ends_.push_back({series.name, series.colour, end.y, end.x > plot_.x + plot_.width - 2 * s_});
    }
  }
  if (has_reference() && !options_.reference->label.empty())
    ends_.push_back({options_.reference->label, muted, place({x_->low(), options_.reference->y}).y, true});

  const auto room = static_cast<std::size_t>((plot_.height - 3 * s_) / pitch()) + 1;
  if (ends_.size() > room) {
    const std::size_t more = ends_.size() - (room - 1);
    ends_.resize(room - 1);
    ends_.push_back({str_cat("+", more, " more"), muted, static_cast<double>(plot_.y + plot_.height)});
  }
  std::stable_sort(ends_.begin(), ends_.end(),
                   [](const EndLabel& a, const EndLabel& b) { return a.wanted < b.wanted; });
}

void Chart::draw_titles() {
  const int left = box_.x + margin(), width = right() - left;
  int y = box_.y + margin();
  if (!options_.title.empty()) {
    const std::string title = shortened(options_.title, width, s_, Weight::bold);
    canvas_.text(left, y, title, ink, s_, Anchor::left, Weight::bold);
    y += line_height() + 8 * s_;
  }
  canvas_.text(left, y, shortened(options_.y_label, width, s_), muted, s_);
  canvas_.text(plot_.x + plot_.width / 2, box_.y + box_.height - margin() - line_height(),
               shortened(options_.x_label, plot_.width, s_), muted, s_, Anchor::centre);
}

void Chart::draw_grid() {
  const int bottom = plot_.y + plot_.height;
  const auto across = [&](double value, double opacity) {
    const int y = static_cast<int>(std::floor(place({x_->low(), value}).y));
    canvas_.fill_rectangle({plot_.x, std::min(y, bottom - s_), plot_.width, s_}, grid, opacity);
    return y;
  };
  const auto upright = [&](double value, double opacity) {
    const int x = static_cast<int>(std::floor(place({value, y_->low()}).x));
    canvas_.fill_rectangle({std::min(x, plot_.x + plot_.width - s_), plot_.y, s_, plot_.height}, grid,
                           opacity);
    return x;
  };
  for (const double value : y_->minor_ticks()) across(value, 0.45);
  for (const double value : x_->minor_ticks()) upright(value, 0.45);

  // A label that would touch the one before it is left out.
  int free_above = bottom + line_height();
  for (std::size_t i = 0; i < y_->ticks().size(); ++i) {
    const int y = across(y_->ticks()[i], 1) - line_height() / 2 + s_;
    if (y + line_height() > free_above) continue;
    canvas_.text(plot_.x - 6 * s_, y, y_->labels()[i], muted, s_, Anchor::right);
    free_above = y;
  }
  int free_from = box_.x;
  for (std::size_t i = 0; i < x_->ticks().size(); ++i) {
    const int width = Canvas::text_width(x_->labels()[i], s_), x = upright(x_->ticks()[i], 1);
    if (x - width / 2 < free_from || x - width / 2 + width > box_.x + box_.width) continue;
    canvas_.text(x, bottom + 5 * s_, x_->labels()[i], muted, s_, Anchor::centre);
    free_from = x - width / 2 + width + 8 * s_;
  }
  canvas_.fill_rectangle({plot_.x, bottom, plot_.width, s_}, axis);
}

/// Column by column; where one of its ends cannot be shown, the band has a gap.
void Chart::draw_band(const Series& series) {
  const auto edges = [&](std::size_t k) {
    const double x = series.points[k].first;
    return std::pair{place({x, series.band[k].second}), place({x, series.band[k].first})};
  };
  const auto known = [&](std::size_t k) {
    return shown({series.points[k].first, series.band[k].first}) &&
           shown({series.points[k].first, series.band[k].second});
  };
  const std::size_t count = std::min(series.points.size(), series.band.size());
  for (std::size_t k = 1; k < count; ++k) {
    if (!known(k - 1) || !known(k)) continue;
    const auto [top, bottom] = edges(k - 1);
    const auto [next_top, next_bottom] = edges(k);
    const int first = static_cast<int>(std::floor(top.x)), last = static_cast<int>(std::floor(next_top.x));
    for (int x = first; x < last; ++x) {
      const double part = (x - top.x) / (next_top.x - top.x);
      const int y = static_cast<int>(std::lround(top.y + part * (next_top.y - top.y)));
      const int end = static_cast<int>(std::lround(bottom.y + part * (next_bottom.y - bottom.y)));
      canvas_.fill_rectangle({x, y, 1, end - y}, series.colour, 0.16);
    }
  }
}

void Chart::draw_curves() {
  if (has_reference()) {
    const int y = static_cast<int>(std::floor(place({x_->low(), options_.reference->y}).y));
    for (int x = 0; x < plot_.width; x += 7 * s_)
      canvas_.fill_rectangle({plot_.x + x, y, std::min(4 * s_, plot_.width - x), s_}, muted);
  }
  for (const Series& series : series_) draw_band(series);
  bool any = false;
  for (const Series& series : series_) {
    std::vector<Point> run;

    const auto end_run = [&] {
      if (run.size() == 1) canvas_.polyline(run, series.colour, 4.0 * s_);
      if (run.size() > 1) canvas_.polyline(run, series.colour, 1.75 * s_);
      any = any || !run.empty();
      run.clear();
    };
    for (const auto& p : series.points) {
      if (shown(p))
        run.push_back(place(p));
      else
        end_run();
    }
    end_run();
  }
  if (!any)
    canvas_.text(plot_.x + plot_.width / 2, plot_.y + (plot_.height - line_height()) / 2, "no data", muted,
                 s_, Anchor::centre);
}

void Chart::draw_end_labels() {
  std::vector<double> wanted;
  for (const EndLabel& end : ends_) wanted.push_back(end.wanted);
  const std::vector<double> places = spread(wanted, pitch(), plot_.y, plot_.y + plot_.height - 3 * s_);
  const int edge = plot_.x + plot_.width;
  for (std::size_t i = 0; i < ends_.size(); ++i) {
    const EndLabel& end = ends_[i];
    const double middle = std::round(places[i]) + 0.5;
    const Point from{edge + 3.0 * s_, end.at_the_edge ? end.wanted : middle}, to{edge + 10.0 * s_, middle};
    canvas_.line(from, to, end.colour, s_);
    canvas_.text(edge + 14 * s_, static_cast<int>(middle) - line_height() / 2 + s_,
                 shortened(end.text, right() - edge - 14 * s_, s_), end.colour, s_);
  }
}

}  // namespace

void line_chart(Canvas& canvas, Box box, std::span<const Series> series, const ChartOptions& options) {
  if (options.scale < 1 || options.scale > 8)
    bad_argument("scale", "in [1, 8]", std::to_string(options.scale));
  if (box.x < 0 || box.y < 0 || box.width < 0 || box.height < 0 || box.x > canvas.width() - box.width ||
      box.y > canvas.height() - box.height)
    bad_argument("box", str_cat("inside the canvas of ", canvas.width(), " x ", canvas.height()),
                 str_cat("(", box.x, ", ", box.y, ") of ", box.width, " x ", box.height));
  Chart(canvas, box, series, options).draw();
}

Canvas line_chart(int width, int height, std::span<const Series> series, const ChartOptions& options) {
  Canvas canvas(width, height);
  line_chart(canvas, {0, 0, width, height}, series, options);
  return canvas;
}

}  // namespace plasticity::draw
