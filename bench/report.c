#include "bench/report.h"
hem_status hem__report_write(const hem__report *report, const char *path, hem_error *err) { (void)report; (void)path; (void)err; return HEM_OK; }
