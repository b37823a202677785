/// What the verbs of the program share: exit codes, the option parser, messages, context, progress.
///
/// A verb is one file `cmd_<verb>.c` with one exported function `int cmd_<verb>(int argc, char **argv)`; `argv[0]` is the
/// verb. It describes its arguments in a cli_syntax, calls cli_parse first, and returns an exit code. Results go to
/// stdout, everything else to stderr. Verbs use the public headers alone.
#ifndef LATTICE_CLI_H
#define LATTICE_CLI_H

#include <stdbool.h>

#include <jansson.h>

#include <lattice/io.h>
#include <lattice/lattice.h>

/// Exit codes of the program.
enum {
  CLI_OK = 0,
  CLI_FAILURE = 1, ///< the work could not be done
  CLI_USAGE = 2    ///< the command line makes no sense
};

/// Leaves through `label` when `expr` (a lat_status) fails. Needs a local `lat_status status`.
#define CLI_TRY(expr, label)                                                                                           \
  do {                                                                                                                 \
    status = (expr);                                                                                                   \
    if (status) goto label;                                                                                            \
  } while (0)

/// What an option takes.
typedef enum cli_kind {
  CLI_FLAG, ///< nothing; target: bool
  CLI_TEXT, ///< any text that is not empty; target: const char *
  CLI_INT,  ///< a whole number from `low` to `high`; target: int64_t
  CLI_REAL, ///< a finite number, `low` < value <= `high`; target: double
  CLI_TEXTS ///< text that is not empty, once or several times; target: cli_texts
} cli_kind;

/// The values of an option that may be given several times.
enum { CLI_MOST_TEXTS = 64 };
typedef struct cli_texts {
  const char *items[CLI_MOST_TEXTS];
  int n;
} cli_texts;

/// One option. `--name VALUE` and `--name=VALUE` both work. The target keeps its value when the option is absent.
typedef struct cli_option {
  const char *name;  ///< with its dashes: "--size"
  const char *alias; ///< another spelling: "-o", or NULL
  const char *value; ///< name of the value in help texts; NULL for flags
  cli_kind kind;
  void *target;
  double low, high; ///< range; whole numbers up to 2^53
  const char *help; ///< one line, or several separated by '\n'
} cli_option;

/// The arguments of a verb.
typedef struct cli_syntax {
  const char *verb;
  const char *operands; ///< as the usage line shows them: "FILE", or ""
  const char *purpose;  ///< what the verb does: some lines, ending in '\n'
  const cli_option *options;
  int n_options;
  int min_operands, max_operands;
  const char *notes; ///< printed after the options, ending in '\n', or NULL
} cli_syntax;

/// Number of entries of an array.
#define CLI_COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/// Options that several verbs have, so that they read the same everywhere.
#define CLI_OPTION_JSON(target)                                                                                        \
  { "--json", NULL, NULL, CLI_FLAG, target, 0, 0, "print the result as JSON" }
#define CLI_OPTION_THREADS(target)                                                                                     \
  { "--threads", NULL, "N", CLI_INT, target, 1, 4096, "threads to use (default: what the machine allows)" }
#define CLI_OPTION_FLOATS(target)                                                                                      \
  { "--floats", NULL, "N", CLI_INT, target, 4, 5, "floats per point of a .bin file, 4 or 5 (default: decided)" }

/// Parses `argv`. Returns CLI_PARSED when the verb shall go on; anything else is the exit code to return (help was
/// printed, or the error was). `operands` receives up to max_operands pointers into argv.
enum { CLI_PARSED = -1 };
int cli_parse(const cli_syntax *syntax, int argc, char **argv, const char **operands, int *n_operands);

/// Prints "lattice VERB: text" on stderr and returns CLI_USAGE, with a hint at --help.
int cli_usage_error(const char *verb, const char *format, ...) LAT_PRINTF(2, 3);

/// Prints "lattice VERB: text" on stderr and returns CLI_FAILURE.
int cli_failure(const char *verb, const char *format, ...) LAT_PRINTF(2, 3);

/// CLI_OK for OK; otherwise prints the library's last error as "lattice VERB: text" and returns CLI_FAILURE.
int cli_exit_code(const char *verb, lat_status status);

/// Creates a context. `n_threads` 0: the default.
LAT_CHECKED lat_status cli_context_create(int64_t n_threads, uint64_t seed, lat_context **out);

/// Prints a JSON object or array on one line and drops the reference. NULL (no memory to build it) is a failure.
int cli_print_json(const char *verb, json_t *json);

/// Seconds of a monotonic clock.
double cli_seconds(void);

/// Says on stderr what is being done, when that is a terminal and the verb has been working for half a second. The line
/// is taken back by the next one and by cli_progress_end.
void cli_progress(const char *verb, const char *format, ...) LAT_PRINTF(2, 3);
void cli_progress_end(void);

/// Reads a cloud. `floats` 0: decided.
LAT_CHECKED lat_status cli_read_cloud(lat_context *context, const char *path, int64_t floats, lat_cloud **out);

/// Element `index` of the flattened contiguous array, as a double.
double cli_value(const lat_array_view *view, int64_t index);

/// Minimum, maximum and mean of the finite values among `n` values that lie `step` apart, from `first` on.
typedef struct cli_stats {
  int64_t n_finite;
  double min, max, mean; ///< NaN when n_finite is 0
} cli_stats;
cli_stats cli_compute_stats(const lat_array_view *view, int64_t first, int64_t step, int64_t n);

/// Number of points whose three coordinates are finite.
int64_t cli_count_finite(const lat_cloud *cloud);

/// A JSON number, or null for NaN and infinities, which JSON does not have.
json_t *cli_json_real(double value);

/// Shows a model artifact for `verb`; `*code` becomes the exit code on success.
LAT_CHECKED lat_status cli_info_model(lat_context *context, const char *verb, const char *path, bool json, int *code);

/// The verbs.
int cmd_info(int argc, char **argv);
int cmd_validate(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_voxelize(int argc, char **argv);
int cmd_simulate(int argc, char **argv);
int cmd_demo(int argc, char **argv);
int cmd_compress(int argc, char **argv);
int cmd_decompress(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_explain(int argc, char **argv);

#endif
