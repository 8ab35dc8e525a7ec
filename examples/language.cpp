// Miconi et al. 2019, a small language model: an LSTM reads a text and predicts the next character. In a
// plastic LSTM the recurrent connections of the candidate gate also have Hebbian traces (one alpha per
// neuron, read clipped at 2), so recent text changes the network. The modulated LSTM sets the rate of its
// traces itself (fan-out rate); the retroactive one also has an eligibility trace. All have about the same
// number of parameters. The text is
// --text FILE, or the licences of a Debian system, or generated sentences.
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

/// Reads a text in `batch` parallel stretches, window by window. The state carries over between windows.
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

  /// Returns the bits per character of one window, which begins at position `at` of each of the B stretches.
  /// If `learn`, also computes the gradients of the parameters.
  double window(std::span<const std::uint8_t> text, std::size_t at, bool learn) {
    const std::size_t stretch = text.size() / B_;
    std::fill(x_.begin(), x_.end(), 0.0f);
    for (std::size_t t = 0; t < T_; ++t) {
      for (std::size_t b = 0; b < B_; ++b) {
        const std::size_t position = b * stretch + at + t;
        x_[(t * B_ + b) * symbols_ + text[position]] = 1;
        next_[t * B_ + b] = text[position + 1];
      }
    }
    const Sequence sequence{.steps = static_cast<std::int64_t>(T_), .x = x_};
    if (learn) network_.detach();  // keeps the state, cuts the gradient
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

  /// The number of windows in a text.
  std::size_t windows(std::span<const std::uint8_t> text) const { return (text.size() / B_ - 1) / T_; }

  /// Returns the bits per character of a whole text.
  double evaluate(std::span<const std::uint8_t> text) {
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
  // Plasticity has 4 N + 1 parameters (alpha, the modulator and its fan-out). As published, the plain LSTM
  // has one more neuron, which adds more parameters than that.
  variant.spec.neurons = neurons + (variant.plastic ? 0 : 1);
  const std::int64_t batch = trial.quick() ? 8 : 16, steps = trial.quick() ? 25 : 50;
  Reader reader(variant.spec, text, batch, steps, trial.device(), trial.seed());
  Network& network = reader.network();
  if (!variant.plastic) remove_plasticity(network);
  const std::vector<ParameterView> parameters =
      concatenate({network.parameters(), reader.readout().parameters()});
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
  trial.result(variant.name, reader.evaluate(text.test()));
  trial.save(variant.name, network, reader.readout().parameters());
}

}  // namespace

int main(int argc, char** argv) {
  Experiment experiment({.name = "language",
                         .about = "Predicting a text character by character (Miconi et al. 2019)",
                         .metric = "bits per character",
                         .x_label = "iterations",
                         .iterations = 4000,
                         .quick = 300,
                         .learners = names_of(variants)});
  std::string file;
  std::int64_t neurons = 0;
  experiment.app().add_option("--text", file, "A file, or the word generated");
  experiment.app()
      .add_option("--neurons", neurons, "Default: 128, with --quick 48")
      ->check(CLI::Range(1, 10'000));
  return experiment.run(argc, argv, [&](Trial& trial) {
    const Text text(file);
    trial.set_chance(text.bits_without_context());
    for (const Variant& variant : variants) {
      if (!trial.trains(variant.name)) continue;
      learn(trial, variant, text, neurons > 0 ? neurons : trial.quick() ? 48 : 128);
      trial.expect_below(variant.name, text.bits_without_context() - .5);
    }
  });
}
