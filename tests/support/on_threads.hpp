#pragma once

#include <gtest/gtest.h>

#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace plasticity::testing {

/// Runs every body on a thread of its own and waits for all. An exception in one is a failure of the test;
/// without this it would end the program and with it every later test.
inline void on_threads(const std::vector<std::function<void()>>& bodies) {
  std::vector<std::string> errors(bodies.size());
  std::vector<std::thread> threads;
  for (std::size_t k = 0; k < bodies.size(); ++k) {
    threads.emplace_back([&body = bodies[k], &error = errors[k]] {
      try {
        body();
      } catch (const std::exception& caught) {
        error = caught.what();
      } catch (...) {
        error = "an exception that is no std::exception";
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t k = 0; k < errors.size(); ++k) {
    if (!errors[k].empty()) ADD_FAILURE() << "thread " << k << ": " << errors[k];
  }
}

}  // namespace plasticity::testing
