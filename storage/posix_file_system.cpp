#include "storage/posix_file_system.hpp"
