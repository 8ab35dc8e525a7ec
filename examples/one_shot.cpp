// Miconi et al. 2018, one-shot classification (Omniglot's protocol). An episode shows one picture of each of
// five new classes with its label, then a sixth picture, the query, whose label the network must predict. A
// trained embedding of two layers feeds a plastic layer with softmax and Oja's rule. A current of 1000 on the
// label's neuron sets the output while a label is shown, so the trace associates the features with the label.
// All layers are trained together, through the traces. The paper's embedding is a convolutional network.
//
// Pictures: Fashion-MNIST, with seven classes for training and three (pullover, sandal, bag) for testing.
// Each of four orientations is a class of its own, as with Omniglot. Or Omniglot with --omniglot FOLDER; one
// class in ten is held out.
#include <algorithm>
#include <cmath>

#include "common/experiment.hpp"
#include "common/pictures.hpp"
#include "common/random.hpp"

namespace {

using namespace examples;
using namespace plasticity;
constexpr std::size_t ways = 5, T = ways + 1, rotations = 4, area = 28 * 28;

/// Pictures of a subset of the classes.
struct Pool {
  const Pictures* pictures;
  std::vector<std::vector<std::size_t>> classes;  // the pictures of each class
};

/// A batch of episodes: a picture and a label, 0..4, per step.
struct Episodes {
  std::vector<float> pictures;       // [T,B,area]
  std::vector<std::size_t> labels;   // [T,B]; the network must predict the last
  std::vector<float> label_current;  // [T,B,ways]
};

void make_episodes(const Pool& pool, std::size_t batch, Random& random, Episodes& episodes) {
  episodes.pictures.resize(T * batch * area);
  episodes.labels.resize(T * batch);
  episodes.label_current.assign(T * batch * ways, 0);
  for (std::size_t b = 0; b < batch; ++b) {
    const std::vector<std::size_t> chosen = random.permutation(pool.classes.size() * rotations);
    const std::vector<std::size_t> order = random.permutation(ways);
    const std::size_t query = random.below(ways);
    std::size_t support = 0;  // the picture of the query's class, which must not be the query
    for (std::size_t t = 0; t < T; ++t) {
      const std::size_t label = t < ways ? order[t] : query, one = chosen[label];
      const std::vector<std::size_t>& members = pool.classes[one / rotations];
      std::size_t index = members[random.below(members.size())];
      while (t == ways && index == support) index = members[random.below(members.size())];
      if (label == query) support = index;
      pool.pictures->load(index, std::span(episodes.pictures).subspan((t * batch + b) * area, area),
                          one % rotations);
      episodes.labels[t * batch + b] = label;
      if (t < ways) episodes.label_current[(t * batch + b) * ways + label] = 1000;
    }
  }
}

/// The share of right answers at the last step; `y` [T,B,ways].
double accuracy(const Episodes& episodes, std::span<const float> y) {
  const std::size_t batch = episodes.labels.size() / T;
  double right = 0;
  for (std::size_t b = 0; b < batch; ++b) {
    const float* answer = y.data() + ((T - 1) * batch + b) * ways;
    const auto best = static_cast<std::size_t>(std::max_element(answer, answer + ways) - answer);
    right += best == episodes.labels[(T - 1) * batch + b] ? 1 : 0;
  }
  return right / static_cast<double>(batch);
}

/// The embedding and the plastic layer.
class Classifier {
 public:
  Classifier(std::int64_t batch, std::int64_t hidden, std::int64_t features, Device device,
             std::uint64_t seed)
      : rows_(static_cast<std::size_t>(batch) * T),
        first_(static_cast<std::int64_t>(area), hidden, seed + 1, "first"),
        second_(hidden, features, seed + 2, "second"),
        layer_({.cell = Cell::feedforward,
                .rule = Rule::oja,
                .activation = Activation::softmax,
                .inputs = features,
                .neurons = static_cast<std::int64_t>(ways)},
               {.batch = batch, .device = device, .seed = seed}),
        hidden_(rows_ * static_cast<std::size_t>(hidden)),
        features_(rows_ * static_cast<std::size_t>(features)),
        dhidden_(hidden_.size()),
        dfeatures_(features_.size()),
        dy_(rows_ * ways) {
    // Positive plasticity: the untrained layer compares the query with the pictures shown.
    const std::span<float> alpha = layer_.parameter("alpha");
    std::fill(alpha.begin(), alpha.end(), 1.0f);
    layer_.parameter("eta")[0] = .5f;
  }

  Network& layer() { return layer_; }
  std::vector<ParameterView> embedding() { return concatenate({first_.parameters(), second_.parameters()}); }
  std::vector<ParameterView> parameters() { return concatenate({layer_.parameters(), embedding()}); }

  std::span<const float> predict(const Episodes& episodes) {
    embed(episodes);
    layer_.reset();
    return layer_.infer({.steps = T, .u = episodes.label_current, .pre = features_});
  }

  /// Computes the gradients of -log y of the right label at the last step. Returns the share of right
  /// answers.
  double learn(const Episodes& episodes) {
    embed(episodes);
    layer_.reset();
    const std::span<const float> y =
        layer_.forward({.steps = T, .u = episodes.label_current, .pre = features_});
    const std::size_t batch = rows_ / T;
    std::fill(dy_.begin(), dy_.end(), 0.0f);
    for (std::size_t b = 0; b < batch; ++b) {
      const std::size_t at = ((T - 1) * batch + b) * ways + episodes.labels[(T - 1) * batch + b];
      dy_[at] = -1 / (std::max(y[at], 1e-6f) * static_cast<float>(batch));
    }
    layer_.zero_gradients();
    first_.zero_gradients();
    second_.zero_gradients();
    layer_.backward(dy_, {.pre = dfeatures_});
    through_tanh(features_, dfeatures_);
    second_.backward(hidden_, dfeatures_, dhidden_);
    through_tanh(hidden_, dhidden_);
    first_.backward(episodes.pictures, dhidden_, {});
    return accuracy(episodes, y);
  }

 private:
  void embed(const Episodes& episodes) {
    first_.forward(episodes.pictures, hidden_);
    for (float& value : hidden_) value = std::tanh(value);
    second_.forward(hidden_, features_);
    for (float& value : features_) value = std::tanh(value);
  }
  static void through_tanh(const std::vector<float>& y, std::vector<float>& dy) {
    for (std::size_t k = 0; k < y.size(); ++k) dy[k] *= 1 - y[k] * y[k];
  }

  std::size_t rows_;
  Linear first_, second_;
  Network layer_;
  std::vector<float> hidden_, features_, dhidden_, dfeatures_, dy_;
};

/// A baseline without a network: the label of the picture that is nearest to the query.
double nearest_picture(const Episodes& episodes) {
  const std::size_t batch = episodes.labels.size() / T;
  double right = 0;
  for (std::size_t b = 0; b < batch; ++b) {
    const float* query = episodes.pictures.data() + ((T - 1) * batch + b) * area;
    double min_distance = 1e30;
    std::size_t best = 0;
    for (std::size_t t = 0; t < ways; ++t) {
      const float* shown = episodes.pictures.data() + (t * batch + b) * area;
      double distance = 0;
      for (std::size_t k = 0; k < area; ++k) distance += (shown[k] - query[k]) * (shown[k] - query[k]);
      if (distance >= min_distance) continue;
      min_distance = distance;
      best = episodes.labels[t * batch + b];
    }
    right += best == episodes.labels[(T - 1) * batch + b] ? 1 : 0;
  }
  return right / static_cast<double>(batch);
}

void learn(Trial& trial, const Pool& train, const Pool& test) {
  constexpr std::size_t batch = 16;
  Classifier classifier(batch, trial.quick() ? 48 : 128, 64, trial.device(), trial.seed());
  Adam adam;
  Random random(trial.seed());
  Episodes episodes;
  for (std::int64_t iteration = 0; iteration < trial.iterations(); ++iteration) {
    make_episodes(train, batch, random, episodes);
    trial.step("plastic", classifier.learn(episodes));
    clip_gradients(classifier.parameters(), 1);
    adam.set_learning_rate(1e-3 *
                           (1 - static_cast<double>(iteration) / static_cast<double>(trial.iterations())));
    adam.step(classifier.parameters());
  }
  double plastic = 0, nearest = 0;
  const std::size_t rounds = trial.quick() ? 40 : 200;  // of `batch` test episodes
  for (std::size_t round = 0; round < rounds; ++round) {
    make_episodes(test, batch, random, episodes);
    plastic += accuracy(episodes, classifier.predict(episodes)) / static_cast<double>(rounds);
    nearest += nearest_picture(episodes) / static_cast<double>(rounds);
  }
  trial.result("plastic", plastic);
  trial.result("nearest picture", nearest);
  trial.expect_above("plastic", .4);
  trial.save("plastic", classifier.layer(), classifier.embedding());
}

}  // namespace

int main(int argc, char** argv) {
  Experiment experiment({.name = "one_shot",
                         .about = "One-shot classification of new classes (Miconi et al. 2018)",
                         .metric = "share of right answers",
                         .x_label = "iterations",
                         .chance = 1.0 / ways,
                         .iterations = 5000,
                         .quick = 400});
  std::string folder;
  experiment.app().add_option("--omniglot", folder,
                              "Folder of Omniglot's pictures (images_background and ..._evaluation)");
  return experiment.run(argc, argv, [&](Trial& trial) {
    const bool fashion = folder.empty();
    const Pictures pictures = fashion ? fashion_mnist(false) : omniglot(folder);
    const Pictures unseen = fashion ? fashion_mnist(true) : Pictures();
    Pool train{&pictures, {}}, test{fashion ? &unseen : &pictures, {}};
    const auto members = pictures.by_class(), others = test.pictures->by_class();
    for (std::size_t k = 0; k < members.size(); ++k) {
      const bool held_out = k % (fashion ? 3 : 10) == 2;
      (held_out ? test : train).classes.push_back(held_out ? others[k] : members[k]);
    }
    learn(trial, train, test);
  });
}
