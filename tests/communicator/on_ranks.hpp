#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "plasticity/communicator.hpp"
#include "plasticity/error.hpp"

namespace plasticity::testing {

/// Runs work(communicator) on `ranks` threads and returns the message of each rank's Error, or "" for a rank
/// without one. A rank's communicator is destroyed when its work ends.
inline std::vector<std::string> on_ranks(int ranks, const std::function<void(Communicator&)>& work,
                                         const CommunicatorOptions& options = {}) {
  std::vector<std::unique_ptr<Communicator>> communicators = thread_communicators(ranks, options);
  std::vector<std::string> errors(communicators.size());
  std::vector<std::thread> threads;
  for (std::size_t r = 0; r < communicators.size(); ++r) {
    threads.emplace_back([&, r] {
      const std::unique_ptr<Communicator> own = std::move(communicators[r]);
      try {
        work(*own);
      } catch (const std::exception& error) {
        errors[r] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

}  // namespace plasticity::testing
