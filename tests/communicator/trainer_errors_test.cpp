// Trainers on several ranks whose calls differ, and ranks that end.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "communicator/on_ranks.hpp"
#include "plasticity/plasticity.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

constexpr std::int64_t T = 2, N = 5;
const std::vector<float> target(T* N, .25f);

/// A difference of rank 1 from rank 0.
struct Difference {
  std::string error;  // of every rank
  Spec spec{.neurons = N};
  TrainerOptions options{};
  std::function<void(Network&, Trainer&)> before_second_step = [](Network&, Trainer&) {};
  std::function<void(Trainer&)> step = [](Trainer& trainer) { trainer.step({.steps = T}, target); };
};

TrainerOptions with(const OptimizerOptions& optimizer) { return {.optimizer = optimizer}; }

TEST(TrainerOnRanks, DifferencesAreNamedOnAllRanks) {
  const LossFunction loss = [](std::span<const float>, std::span<float>) { return 0.0; };
  const std::vector<std::int64_t> labels(T);
  OptimizerOptions grouped = OptimizerOptions::adam();
  grouped.groups = {{.names = {"w"}, .learning_rate_factor = .5}};
  const Difference differences[] = {
      {.error = "learning rate of rank 1: expected 0.001, as on rank 0, got 0.5",
       .before_second_step = [](Network&, Trainer& trainer) { trainer.set_learning_rate(.5); }},
      {.error = "number of trained parameters of rank 1: expected 3, as on rank 0, got 2",
       .before_second_step = [](Network& network, Trainer&) { network.set_trainable("alpha", false); }},
      {.error = "values of parameters of rank 1: expected those of rank 0, got others",
       .before_second_step = [](Network& network, Trainer&) { network.parameter("w")[7] += .001f; }},
      {.error = "spec of rank 1: expected that of rank 0, got another",
       .spec = {.rule = Rule::oja, .neurons = N}},
      {.error = "number of trained elements of rank 1: expected 51, as on rank 0, got 73",
       .spec = {.neurons = N + 1},
       .step = [](Trainer& trainer) { trainer.step({.steps = T}, std::vector<float>(T * (N + 1))); }},
      {.error = "kind of step of rank 1: expected that of rank 0, got another",
       .step = [&](Trainer& trainer) { trainer.step_with({.steps = T}, loss); }},
      {.error = "kind of step of rank 1: expected that of rank 0, got another",
       .step = [&](Trainer& trainer) { trainer.step_labels({.steps = T}, labels); }},
      {.error = "kind of step of rank 1: expected that of rank 0, got another",
       .step = [](Trainer& trainer) { trainer.step([] { return 0.0; }); }},
      {.error = "reduction of rank 1: expected that of rank 0, got another",
       .options = {.reduction = Reduction::sum}},
      {.error = "clip_norm of rank 1: expected 0, as on rank 0, got 2", .options = {.clip_norm = 2}},
      {.error = "optimizer's method of rank 1: expected that of rank 0, got another",
       .options = with(OptimizerOptions::sgd())},
      {.error = "weight_decay of rank 1: expected 0, as on rank 0, got 0.1",
       .options = with(OptimizerOptions::adamw(1e-3, .1))},
      {.error = "beta2 of rank 1: expected 0.999, as on rank 0, got 0.9", .options = {.adam = {.beta2 = .9}}},
      {.error = "not_finite of rank 1: expected that of rank 0, got another",
       .options = {.adam = {.not_finite = NotFinite::skip}}},
      {.error = "groups of rank 1: expected those of rank 0, got others", .options = with(grouped)}};
  for (const Difference& difference : differences) {
    const std::vector<std::string> errors = on_ranks(2, [&](Communicator& communicator) {
      const bool differs = communicator.rank() == 1;
      TrainerOptions options = differs ? difference.options : TrainerOptions();
      options.communicator = &communicator;
      Network network(differs ? difference.spec : Spec{.neurons = N}, {.device = Device::cpu(1)});
      Trainer trainer(network, options);
      for (int step = 0; step < 2; ++step) {
        if (differs && step == 1) difference.before_second_step(network, trainer);
        if (differs) {
          difference.step(trainer);
        } else {
          trainer.step({.steps = T}, target);
        }
      }
    });
    for (const std::string& error : errors) EXPECT_EQ(error, difference.error);
  }
}

/// Rank 0 of two, of which the other sends the same values. Its call number `failing` fails.
class FailingCommunicator final : public Communicator {
 public:
  explicit FailingCommunicator(int failing) : Communicator(0, 2, {}), left_(failing) {}

 protected:
  void exchange(Call, std::span<const std::span<const std::byte>> send,
                std::span<const std::span<std::byte>> receive) override {
    if (left_-- == 0) fail("the other rank has ended");
    std::copy_n(send[1].begin(), receive[1].size(), receive[1].begin());
  }

 private:
  int left_;
};

TEST(TrainerOnRanks, AFailedCallChangesNoParameter) {
  const std::vector<float> u(target.size(), .5f);
  for (const bool by_iteration : {false, true}) {
    bool succeeded = false;
    for (int failing = 0; !succeeded; ++failing) {
      FailingCommunicator communicator(failing);
      Network network({.neurons = N}, {.device = Device::cpu(1)});
      Trainer trainer(network, {.communicator = &communicator});
      const auto saved = [&] {
        io::TensorFile file;
        network.save(file);
        return file;
      };
      const io::TensorFile before = saved();
      try {
        if (by_iteration) {
          trainer.step([&] {
            const std::span<const float> y = network.forward({.steps = T, .u = u});
            std::vector<float> dy(y.size());
            const double loss = mse_loss(y, target, dy);
            network.backward(dy);
            return loss;
          });
        } else {
          trainer.step({.steps = T, .u = u}, target);
        }
        succeeded = true;
      } catch (const Error& error) {
        expect_error(error, ErrorCode::communication, "the other rank has ended");
      }
      EXPECT_EQ(saved() == before, !succeeded) << "call " << failing;
      EXPECT_EQ(trainer.steps(), succeeded ? 1 : 0);
      ASSERT_LT(failing, 100);
    }
  }
}

TEST(TrainerOnRanks, ARankThatThrowsEndsTheOthers) {
  const auto start = std::chrono::steady_clock::now();
  const std::vector<std::string> errors = on_ranks(4, [&](Communicator& communicator) {
    Network network({.neurons = 5}, {.device = Device::cpu(1)});
    Trainer trainer(network, {.communicator = &communicator});
    for (int k = 0;; ++k) {
      if (k == 3 && communicator.rank() == 2) throw std::runtime_error("of the program");
      trainer.step({.steps = 2}, target);
    }
  });
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
  EXPECT_EQ(errors[2], "of the program");
  for (const int r : {0, 1, 3}) {
    EXPECT_EQ(errors[static_cast<std::size_t>(r)],
              "rank 2: expected all_gather(), got the end of its communicator");
  }
}

}  // namespace
}  // namespace plasticity::testing
