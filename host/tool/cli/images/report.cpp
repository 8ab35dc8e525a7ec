#include "tool/cli/images/report.hpp"

#include <cstdio>

#include "tool/draw/canvas.hpp"
#include "tool/draw/chart.hpp"

namespace plasticity::images {
namespace {

constexpr std::int64_t columns = 8;  // the first test episodes
// Lengths in points.
constexpr int margin = 28, gap = 18, row_space = 20, heading_width = 228, tile_side = 84, title_height = 100;
constexpr double heading_line = 18, error_line = 15;
constexpr draw::Colour plastic_colour = draw::series_colours[0], fixed_colour = draw::series_colours[1],
                       asked_colour = draw::series_colours[2];

/// A grid of pictures: one column per episode, rows with a heading at the left.
class Sheet {
 public:
  Sheet(std::int64_t size, std::int64_t rows, std::int64_t groups)
      : size_(static_cast<int>(size)),
        canvas_(2 * margin + heading_width + static_cast<int>(columns) * (tile_side + gap) - gap,
                title_height + static_cast<int>(rows) * (tile_side + gap) +
                    static_cast<int>(groups) * row_space + margin - gap) {}

  draw::Canvas& canvas() { return canvas_; }

  void title(const std::string& line, const std::string& below) {
    canvas_.text({margin, 44}, line, {.size = 22, .bold = true});
    canvas_.text({margin, 70}, below, {.size = 13.5, .colour = draw::muted});
  }

  /// Begins a group of rows and returns the y of their top.
  double begin_rows(std::int64_t rows, std::initializer_list<const char*> heading) {
    y_ += row_space;
    const double top = y_, height = static_cast<double>(rows * (tile_side + gap) - gap);
    double middle = top + height / 2 - heading_line * static_cast<double>(heading.size() - 1) / 2;
    for (const char* line : heading) {
      const bool first = line == *heading.begin();
      canvas_.text_in_middle(
          {margin, middle}, line,
          {.size = first ? 14.5 : 13, .colour = first ? draw::ink : draw::muted, .bold = first});
      middle += heading_line;
    }
    y_ += height + gap;
    return top;
  }

  draw::Box tile(std::int64_t column, double top, std::int64_t row = 0) const {
    return {static_cast<double>(margin + heading_width + column * (tile_side + gap)),
            top + static_cast<double>(row * (tile_side + gap)), tile_side, tile_side};
  }

  void picture(draw::Box tile, std::span<const float> values, std::span<const std::uint8_t> unseen = {}) {
    canvas_.picture(tile, values, size_, size_, unseen);
  }

  void frame(draw::Box tile) {
    canvas_.outline({tile.x - 5, tile.y - 5, tile.width + 10, tile.height + 10}, asked_colour, 2.5);
  }

  /// A bar at the left of the half of a tile that the network completes.
  void mark_half(draw::Box tile, bool top, draw::Colour colour) {
    canvas_.fill({tile.x - 6, tile.y + (top ? 0 : tile.height / 2), 3, tile.height / 2}, colour);
  }

  void error(draw::Box tile, double value, draw::Colour colour) {
    char text[16];
    std::snprintf(text, sizeof text, "%.2f", value);
    canvas_.text({tile.x + tile.width / 2, tile.bottom() + error_line}, text,
                 {.size = 12.5, .colour = draw::text_shade(colour), .anchor = draw::Anchor::centre});
  }

 private:
  int size_;
  draw::Canvas canvas_;
  double y_ = title_height - row_space;
};

/// The normalised error of sample b of the batch.
double error_of(const Episode& episode, std::span<const float> y, std::int64_t b) {
  const std::int64_t N = episode.neurons, row = ((episode.steps - 1) * episode.batch + b) * N;
  double error = 0, power = 0;
  for (std::int64_t j = 0; j < N; ++j) {
    const auto at = static_cast<std::size_t>(row + j);
    if (episode.asked[at] == 0) continue;
    const double target = episode.target[at];
    error += (y[at] - target) * (y[at] - target);
    power += target * target;
  }
  return error / power;
}

}  // namespace

void draw_completions(Experiment& experiment, const std::filesystem::path& file) {
  const std::int64_t size = experiment.options().size, pixels = size * size;
  const std::int64_t pictures = experiment.options().plan.pictures;
  Sheet sheet(size, pictures + 4, 5);
  sheet.title(
      "A plastic network remembers pictures that it has just seen",
      "Each column is one test episode: three new pictures, then half of one of them. The network remembers "
      "them only in its Hebbian traces.");
  const double seen = sheet.begin_rows(
      pictures, {"1  It sees three pictures", "for 8 steps each; it will", "complete the framed one"});
  const double cue = sheet.begin_rows(1, {"2  Then half of one", "the other half is hidden"});
  const double whole = sheet.begin_rows(1, {"The whole picture", "the correct answer"});
  const double plastic = sheet.begin_rows(
      1, {"3  Plastic network", "recalls the marked half;", "below: squared error", "(1 = no idea)"});
  const double fixed =
      sheet.begin_rows(1, {"4  Fixed weights", "trained the same way;", "guesses the marked half"});

  for (std::int64_t column = 0; column < columns; ++column) {
    const std::int64_t batch = experiment.options().batch, b = column % batch;
    const auto sample = static_cast<std::size_t>(b);
    const Episode episode = experiment.test_episode(column / batch);
    const std::size_t last = static_cast<std::size_t>(((episode.steps - 1) * batch + b) * episode.neurons);
    const auto count = static_cast<std::size_t>(pixels);
    const std::span<const float> target(episode.target.data() + last, count);
    for (std::int64_t k = 0; k < pictures; ++k) {
      const draw::Box tile = sheet.tile(column, seen, k);
      sheet.picture(tile, {episode.shown.data() + (b * pictures + k) * pixels, count});
      if (k == episode.wanted[sample]) sheet.frame(tile);
    }
    sheet.picture(sheet.tile(column, cue), target, {episode.asked.data() + last, count});
    sheet.picture(sheet.tile(column, whole), target);
    for (const bool is_plastic : {true, false}) {
      const std::span<const float> y =
          experiment.complete(is_plastic ? experiment.plastic() : experiment.fixed(), episode);
      const draw::Box tile = sheet.tile(column, is_plastic ? plastic : fixed);
      const draw::Colour colour = is_plastic ? plastic_colour : fixed_colour;
      sheet.picture(tile, y.subspan(last, count));
      sheet.mark_half(tile, episode.top[sample] == 0, colour);
      sheet.error(tile, error_of(episode, y, b), colour);
    }
  }
  io::write_png(file, sheet.canvas().image());
}

void draw_learning_curve(Experiment& experiment, const std::filesystem::path& file) {
  const auto curve_of = [&](const Learner& learner, draw::Colour colour) {
    return draw::Curve{.name = learner.name,
                       .x = {experiment.evaluated_at().begin(), experiment.evaluated_at().end()},
                       .y = {learner.curve.begin(), learner.curve.end()},
                       .colour = colour};
  };
  const draw::Curve curves[] = {curve_of(experiment.plastic(), plastic_colour),
                                curve_of(experiment.fixed(), fixed_colour)};
  io::write_png(file, draw::line_chart(curves, {.title = "Completing pictures seen a moment ago",
                                                .x_label = "training iterations",
                                                .y_label = "squared error on test pictures (1 = no idea)",
                                                .log_y = true}));
}

}  // namespace plasticity::images
