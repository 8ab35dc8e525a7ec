// Times training on the ranks that mpirun started, or on one without mpirun. Prints JSON on rank 0. The
// samples depend on their index in the global batch, so that all numbers of ranks train on the same data.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <plasticity/plasticity.hpp>

namespace {

using namespace plasticity;
using Clock = std::chrono::steady_clock;

struct Options {
  Spec spec{.cell = Cell::rnn, .rule = Rule::hard_clip, .rate = Rate::fan_out};
  std::int64_t steps = 50, batch = 30;  // the batch of all ranks together
  std::size_t iterations = 5;
  int threads = 1;
  bool apart = false;
};

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

/// Returns [T,B,width] for the samples of the slice.
std::vector<float> make_sequence(const Options& options, BatchSlice slice, std::int64_t width, float scale) {
  std::vector<float> values;
  values.reserve(static_cast<std::size_t>(options.steps * slice.count * width));
  for (std::int64_t t = 0; t < options.steps; ++t) {
    for (std::int64_t b = slice.first; b < slice.first + slice.count; ++b) {
      for (std::int64_t n = 0; n < width; ++n) {
        const std::int64_t number = (t * 31 + b * 17 + n * 7) % 23;
        values.push_back(scale * static_cast<float>(number - 11) / 11);
      }
    }
  }
  return values;
}

/// Returns a hash (FNV-1a) of the values of all parameters.
std::uint64_t hash_of(const std::vector<ParameterView>& parameters) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const ParameterView& parameter : parameters) {
    for (const std::byte byte : std::as_bytes(parameter.value))
      hash = (hash ^ static_cast<std::uint64_t>(byte)) * 0x100000001b3;
  }
  return hash;
}

/// Returns the milliseconds of `count` calls of all_reduce(), which all ranks begin together.
std::vector<double> time_all_reduce(Communicator& communicator, const std::vector<ParameterView>& parameters,
                                    std::size_t count) {
  for (const ParameterView& parameter : parameters) std::ranges::fill(parameter.gradient, 0.0f);
  std::vector<double> times;
  for (std::size_t k = 0; k <= count; ++k) {
    communicator.barrier();
    const Clock::time_point start = Clock::now();
    all_reduce(communicator, parameters);
    if (k > 0) times.push_back(milliseconds_since(start));  // the first call allocates memory
  }
  return times;
}

void run(const Options& options, Communicator* communicator) {
  const BatchSlice slice = slice_of(communicator, options.batch);
  Network network(options.spec, {.batch = slice.count, .device = Device::cpu(options.threads), .seed = 1});
  Trainer trainer(network, {.clip_norm = 1, .communicator = options.apart ? nullptr : communicator});
  const bool has_x = options.spec.inputs > 0;
  const std::vector<float> input =
      make_sequence(options, slice, has_x ? options.spec.inputs : options.spec.neurons, 1);
  const std::vector<float> target = make_sequence(options, slice, options.spec.neurons, .5f);
  Sequence sequence{.steps = options.steps};
  (has_x ? sequence.x : sequence.u) = input;
  if (communicator != nullptr) communicator->barrier();
  std::vector<double> times;
  for (std::size_t k = 0; k <= options.iterations; ++k) {
    network.reset();
    const Clock::time_point start = Clock::now();
    trainer.step(sequence, target);
    if (k > 0) times.push_back(milliseconds_since(start));  // the first iteration allocates memory
  }
  const std::vector<ParameterView> parameters = network.parameters();
  const std::uint64_t hash = hash_of(parameters);
  std::size_t elements = 0;
  for (const ParameterView& parameter : parameters) elements += parameter.value.size();
  nlohmann::ordered_json result{{"ranks", communicator == nullptr ? 1 : communicator->size()},
                                {"apart", options.apart},
                                {"batch", options.batch},
                                {"parameters", elements},
                                {"hash", hash},
                                {"iteration_ms", times}};
  if (communicator != nullptr && !options.apart)
    result["all_reduce_ms"] = time_all_reduce(*communicator, parameters, 4 * options.iterations);
  if (communicator == nullptr || communicator->rank() == 0) std::printf("%s\n", result.dump().c_str());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Times training on one or several ranks; JSON on stdout");
  Options options;
  const CLI::Range size(std::int64_t{1}, std::int64_t{1} << 20);
  bool lstm = false;
  app.add_flag("--lstm", lstm,
               "An lstm with one alpha per neuron, instead of an rnn with one per connection");
  app.add_option("--neurons", options.spec.neurons, "N")->check(size)->required();
  app.add_option("--inputs", options.spec.inputs, "I; 0: the input is the current u")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 20));
  app.add_option("--batch", options.batch, "B of all ranks together")->check(size)->required();
  app.add_option("--steps", options.steps, "T")->check(size)->capture_default_str();
  app.add_option("--iterations", options.iterations, "How many are timed")->check(CLI::Range(1, 1000000));
  app.add_option("--threads", options.threads, "CPU threads per rank")->check(CLI::Range(1, 1024));
  app.add_flag("--apart", options.apart, "The ranks do not communicate: each trains its samples alone");
  CLI11_PARSE(app, argc, argv);
  std::unique_ptr<Communicator> communicator;
  try {
    if (lstm) {
      options.spec.cell = Cell::lstm;
      options.spec.alpha = Granularity::post;
    }
    communicator = environment_communicator();
    run(options, communicator.get());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "scaling: %s\n", error.what());
    std::fflush(stderr);
    if (communicator != nullptr) communicator->abort(1);
    return 1;
  }
  return 0;
}
