// The headers that most tests include. They are compiled once. A test includes the headers that it needs
// nevertheless.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "plasticity/plasticity.hpp"
