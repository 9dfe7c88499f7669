#include "core/record/compression.hpp"
