// All trace rules.
#pragma once

#include "rules/additive.hpp"
#include "rules/connection.hpp"
#include "rules/decay.hpp"
#include "rules/hard_clip.hpp"
#include "rules/oja.hpp"
#include "rules/read_clip.hpp"
#include "rules/soft_clip.hpp"
