// Miconi et al. 2019, language modelling, small: an LSTM reads a text character by character and says what
// comes next. In a plastic LSTM the recurrent connections of the candidate have Hebbian traces as well (alpha
// per neuron, read clipped at 2): what was read a moment ago changes the network that reads on. Modulated, it
// decides itself how much (fan-out rate); retroactive, by way of an eligibility trace. All have about as many
// parameters. The text: --text FILE, else the licences that every Debian system has, else sentences made up
// by the program.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "common/experiment.hpp"
#include "common/text.hpp"

namespace {

using namespace examples;
using namespace plasticity;

struct Variant {
  const char* name;
  Spec spec;
  bool plastic = true;
};
constexpr Spec plastic_lstm(Rate rate, Eligibility eligibility) {
  return {.cell = Cell::lstm,
          .rule = Rule::read_clip,
          .rate = rate,
          .eligibility = eligibility,
          .alpha = Granularity::post,
          .clip = 2};
}
const Variant variants[] = {
    {"LSTM", {.cell = Cell::lstm, .alpha = Granularity::scalar}, false},
    {"plastic", plastic_lstm(Rate::fixed, Eligibility::none)},
    {"modulated", plastic_lstm(Rate::fan_out, Eligibility::none)},
    {"retroactive", plastic_lstm(Rate::fan_out, Eligibility::before)},
};

/// Reads `batch` places of a text side by side, window by window; the state is carried from one to the next.
class Reader {
 public:
  Reader(Spec spec, const Text& text, std::int64_t batch, std::int64_t steps, Device device,
         std::uint64_t seed)
      : symbols_(text.symbols()),
        B_(static_cast<std::size_t>(batch)),
        T_(static_cast<std::size_t>(steps)),
        network_(sized(spec, symbols_), {.batch = batch, .device = device, .seed = seed}),
        readout_(spec.neurons, static_cast<std::int64_t>(symbols_), seed + 1, "readout"),
        x_(T_ * B_ * symbols_),
        logits_(T_ * B_ * symbols_),
        dlogits_(logits_.size()),
        dy_(T_ * B_ * static_cast<std::size_t>(spec.neurons)),
        next_(T_ * B_) {}

  Network& network() { return network_; }
  Linear& readout() { return readout_; }

  /// Bits per character over one window, which begins at `at` of each of B stretches of the text; with the
  /// gradients of the parameters when `learn`.
  double window(std::span<const std::uint8_t> text, std::size_t at, bool learn) {
    const std::size_t stretch = text.size() / B_;
    std::fill(x_.begin(), x_.end(), 0.0f);
    for (std::size_t t = 0; t < T_; ++t) {
      for (std::size_t b = 0; b < B_; ++b) {
        const std::size_t place = b * stretch + at + t;
        x_[(t * B_ + b) * symbols_ + text[place]] = 1;
        next_[t * B_ + b] = text[place + 1];
      }
    }
    const Sequence sequence{.steps = static_cast<std::int64_t>(T_), .x = x_};
    if (learn) network_.detach();  // the state goes on, the gradient ends here
    const std::span<const float> h = learn ? network_.forward(sequence) : network_.infer(sequence);
    readout_.forward(h, logits_);
    const double nats = softmax_cross_entropy(logits_, next_, static_cast<std::int64_t>(symbols_),
                                              learn ? dlogits_ : std::span<float>());
    if (learn) {
      network_.zero_gradients();
      readout_.zero_gradients();
      readout_.backward(h, dlogits_, dy_);
      network_.backward(dy_);
    }
    return nats / std::numbers::ln2;
  }

  /// How many windows a text has.
  std::size_t windows(std::span<const std::uint8_t> text) const { return (text.size() / B_ - 1) / T_; }

  /// Bits per character over a whole text.
  double read(std::span<const std::uint8_t> text) {
    network_.reset();
    double sum = 0;
    for (std::size_t k = 0; k < windows(text); ++k) sum += window(text, k * T_, false);
    return sum / static_cast<double>(windows(text));
  }

 private:
  static Spec sized(Spec spec, std::size_t symbols) {
    spec.inputs = static_cast<std::int64_t>(symbols);
    return spec;
  }

  std::size_t symbols_, B_, T_;
  Network network_;
  Linear readout_;
  std::vector<float> x_, logits_, dlogits_, dy_;  // [T,B,symbols] and [T,B,N]
  std::vector<std::int64_t> next_;                // [T,B]
};

void learn(Trial& trial, Variant variant, const Text& text, std::int64_t neurons) {
  // Plasticity costs 4 N + 1 parameters (alpha, the modulator and its fan-out). As published, the plain LSTM
  // has one neuron more, which is rather more than makes up for it.
  variant.spec.neurons = neurons + (variant.plastic ? 0 : 1);
  const std::int64_t batch = trial.quick() ? 8 : 16, steps = trial.quick() ? 25 : 50;
  Reader reader(variant.spec, text, batch, steps, trial.device(), trial.seed());
  Network& network = reader.network();
  if (!variant.plastic) remove_plasticity(network);
  const std::vector<ParameterView> parameters =
      together({network.parameters(), reader.readout().parameters()});
  Adam adam;
  const std::size_t windows = reader.windows(text.train());
  for (std::int64_t iteration = 0; iteration < trial.iterations(); ++iteration) {
    const std::size_t k = static_cast<std::size_t>(iteration) % windows;
    if (k == 0) network.reset();
    trial.step(variant.name, reader.window(text.train(), k * static_cast<std::size_t>(steps), true));
    clip_gradients(parameters, 1);
    adam.set_learning_rate(5e-3 *
                           (1 - static_cast<double>(iteration) / static_cast<double>(trial.iterations())));
    adam.step(parameters);
  }
  trial.result(variant.name, reader.read(text.test()));
  trial.save(variant.name, network, reader.readout().parameters());
}

}  // namespace

int main(int argc, char** argv) {
  Experiment experiment({.name = "language",
                         .about = "Predicting a text character by character (Miconi et al. 2019)",
                         .metric = "bits per character",
                         .x_label = "iterations",
                         .iterations = 4000,
                         .quick = 300});
  std::string file;
  std::int64_t neurons = 0;
  experiment.app().add_option("--text", file, "A file to read, or the word generated");
  experiment.app()
      .add_option("--neurons", neurons, "Default: 128, with --quick 48")
      ->check(CLI::Range(1, 10'000));
  return experiment.run(argc, argv, [&](Trial& trial) {
    const Text text(file);
    trial.set_chance(text.bits_without_context());
    for (const Variant& variant : variants) {
      learn(trial, variant, text, neurons > 0 ? neurons : trial.quick() ? 48 : 128);
      trial.expect_below(variant.name, text.bits_without_context() - .5);
    }
  });
}
