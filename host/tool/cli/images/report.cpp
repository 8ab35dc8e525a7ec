#include "tool/cli/images/report.hpp"

#include <algorithm>
#include <cstdio>

#include "tool/draw/canvas.hpp"
#include "tool/draw/chart.hpp"

namespace plasticity::images {
namespace {

constexpr std::int64_t columns = 8;  // test episodes that are shown: the first ones, not chosen
constexpr int margin = 24, gap = 18, label_width = 232, title_height = 92;

/// The pictures of the sheet: one column an episode, and rows with a heading at the left.
class Sheet {
 public:
  Sheet(std::int64_t size, std::int64_t rows)
      : size_(static_cast<int>(size)),
        scale_(size_ <= 14 ? 7 : 4),
        canvas_(2 * margin + label_width + static_cast<int>(columns) * (tile() + gap) - gap,
                title_height + static_cast<int>(rows) * (tile() + gap) + 5 * gap) {}

  int tile() const { return size_ * scale_; }
  draw::Canvas& canvas() { return canvas_; }

  void title(const std::string& line, const std::string& below) {
    canvas_.text(margin, 20, line, draw::ink, 2, draw::Anchor::left, draw::Weight::bold);
    canvas_.text(margin, 54, below, draw::muted);
  }

  /// Goes down by `rows` rows, after a space; gives where they begin.
  int begin_rows(std::int64_t rows, std::initializer_list<const char*> heading) {
    y_ += gap;
    int line_y = y_ + tile() * static_cast<int>(rows) / 2 - static_cast<int>(heading.size()) * 9;
    bool first = true;
    for (const char* line : heading) {
      canvas_.text(margin, line_y, line, first ? draw::ink : draw::muted, 1, draw::Anchor::left,
                   first ? draw::Weight::bold : draw::Weight::regular);
      line_y += 18;
      first = false;
    }
    const int top = y_;
    y_ += static_cast<int>(rows) * (tile() + gap);
    return top;
  }

  draw::Box place(std::int64_t column, int top) const {
    return {margin + label_width + static_cast<int>(column) * (tile() + gap), top, tile(), tile()};
  }

  void picture(draw::Box at, std::span<const float> values, std::span<const std::uint8_t> unknown = {}) {
    canvas_.picture(at.x, at.y, scale_, values, size_, size_, {.unknown = unknown});
  }

  void frame(draw::Box at, draw::Colour colour) {
    canvas_.outline({at.x - 4, at.y - 4, at.width + 8, at.height + 8}, colour, 2);
  }

 private:
  int size_, scale_;
  draw::Canvas canvas_;
  int y_ = title_height;
};

std::string three_digits(double value) {
  char text[16];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

/// The error of one episode of the batch alone.
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

void draw_completions(Trainer& trainer, const std::filesystem::path& file) {
  const std::int64_t size = trainer.options().size, pixels = size * size;
  const std::int64_t shown = trainer.options().schedule.pictures;
  Sheet sheet(size, shown + 4);
  sheet.title("A plastic network remembers pictures it has just seen",
              "Each column is one life: three pictures it never saw before, then half of one of them. What "
              "it saw is in its "
              "Hebbian traces alone.");
  const int seen = sheet.begin_rows(
      shown, {"1  It sees three pictures", "for 8 steps each; the framed", "one will be asked for"});
  const int cue = sheet.begin_rows(1, {"2  Then half of one", "the other half is hidden"});
  const int plastic =
      sheet.begin_rows(1, {"3  Plastic network", "what it recalls, and its error", "(1 = no idea)"});
  const int fixed =
      sheet.begin_rows(1, {"4  Fixed weights", "trained the same way, guesses", "from what is usual"});
  const int truth = sheet.begin_rows(1, {"The picture itself"});

  for (std::int64_t column = 0; column < columns; ++column) {
    const std::int64_t batch = trainer.options().batch, b = column % batch;
    const Episode episode = trainer.test_episode(column / batch);
    const std::size_t last = static_cast<std::size_t>(((episode.steps - 1) * batch + b) * episode.neurons);
    const auto count = static_cast<std::size_t>(pixels);
    const std::span<const float> target(episode.target.data() + last, count);
    const auto wanted = episode.wanted[static_cast<std::size_t>(b)];
    for (std::int64_t k = 0; k < shown; ++k) {
      const draw::Box at = sheet.place(column, seen + static_cast<int>(k) * (sheet.tile() + gap));
      sheet.picture(at, {episode.shown.data() + (b * shown + k) * pixels, count});
      if (k == wanted) sheet.frame(at, draw::series_colours[1]);
    }
    sheet.picture(sheet.place(column, cue), target, {episode.asked.data() + last, count});
    for (const bool is_plastic : {true, false}) {
      const std::span<const float> y =
          trainer.complete(is_plastic ? trainer.plastic() : trainer.fixed(), episode);
      const draw::Box at = sheet.place(column, is_plastic ? plastic : fixed);
      sheet.picture(at, y.subspan(last, count));
      sheet.canvas().text(at.x + at.width / 2, at.y + at.height + 1, three_digits(error_of(episode, y, b)),
                          draw::muted, 1, draw::Anchor::centre);
    }
    sheet.picture(sheet.place(column, truth), target);
  }
  io::write_png(file, sheet.canvas().image());
}

void draw_learning_curve(Trainer& trainer, const std::filesystem::path& file) {
  const auto series_of = [&](const Learner& learner, draw::Colour colour) {
    draw::Series series{learner.name, colour, {}};
    for (std::size_t k = 0; k < learner.curve.size(); ++k) {
      series.points.emplace_back(trainer.evaluated_at()[k], learner.curve[k]);
    }
    return series;
  };
  const draw::Series series[] = {series_of(trainer.plastic(), draw::series_colours[0]),
                                 series_of(trainer.fixed(), draw::series_colours[1])};
  const draw::Canvas canvas = draw::line_chart(800, 480, series,
                                               {.title = "Completing pictures seen a moment ago",
                                                .x_label = "training iterations",
                                                .y_label = "squared error on test pictures (1 = no idea)",
                                                .log_y = true,
                                                .reference = {}});
  io::write_png(file, canvas.image());
}

}  // namespace plasticity::images
