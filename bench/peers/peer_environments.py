"""Virtual environments of the peers, from the package index. What does not install is kept with its reason."""
import json
import os
import re
import shutil
import subprocess
import sys

LIMIT_SECONDS = 600


class Environment:
    """A virtual environment under `folder`. `steps`: what is installed one after another, {peer: [pip arguments]}; a step
    that fails takes only its own peer with it."""

    def __init__(self, folder, name, python, steps):
        self.folder, self.python, self.steps = os.path.join(folder, name), python, steps
        self.program = os.path.join(self.folder, "bin", "python")
        self.state_path = os.path.join(self.folder, "state.json")

    def state(self):
        try:
            with open(self.state_path, encoding="utf-8") as file:
                return json.load(file)
        except (OSError, ValueError):
            return {}

    def ensure(self, say):
        """Installs what has not been tried yet. Returns {peer: None or the reason why it is not there}."""
        state = self.state()
        if self.python is None:
            return {peer: "needs a newer Python than there is" for peer in self.steps}
        if not os.path.exists(self.program):
            subprocess.run([self.python, "-m", "venv", self.folder], check=True)
            state = {}
        for peer, arguments in self.steps.items():
            if peer in state:
                continue
            say(f"installing {peer}: pip install {' '.join(arguments)}")
            state[peer] = self.install(arguments)
            with open(self.state_path, "w", encoding="utf-8") as file:
                json.dump(state, file)
        return {peer: state[peer] for peer in self.steps}

    def install(self, arguments):
        environment = dict(os.environ, MAX_JOBS="2", CMAKE_BUILD_PARALLEL_LEVEL="2")
        command = [self.program, "-m", "pip", "install", "--disable-pip-version-check", *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, env=environment)
        except subprocess.TimeoutExpired:
            return f"not built within {LIMIT_SECONDS} s"
        if done.returncode == 0:
            return None
        return reason_of(done.stdout + done.stderr)


def reason_of(output):
    """The line of pip's output that says most: a build's own error, else pip's."""
    lines = [line.strip() for line in output.splitlines()]
    for pattern in (r"CMake Error", r"\w+(Error|Exception): ", r".*: (fatal )?error: ", r"ERROR: "):
        found = [line for line in lines if re.match(pattern, line)]
        if found:
            return found[-1][:160]
    return "no reason given"


def newest_python(at_least):
    """A CPython of that version or newer, or None."""
    if sys.version_info[:2] >= at_least:
        return sys.executable
    for minor in range(at_least[1], at_least[1] + 4):
        found = shutil.which(f"python3.{minor}")
        if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            return found
    home = os.path.join(os.path.expanduser("~"), ".pyenv", "versions")
    for name in sorted(os.listdir(home) if os.path.isdir(home) else []):
        parts = name.split(".")
        if parts[0] == "3" and len(parts) == 3 and (3, int(parts[1])) >= at_least:
            return os.path.join(home, name, "bin", "python3")
    return None


def environments(folder):
    """The environments, and which peer is in which."""
    torch = ["numpy", "torch==2.13.0"]
    return [
        Environment(folder, "torch", sys.executable, {
            "torch": torch,
            "spconv": ["spconv"],
            "mlx": ["mlx[cpu]"],
            "minkowski": ["--no-build-isolation", "--no-deps", "MinkowskiEngine"],
        }),
        Environment(folder, "mlx_lattice", newest_python((3, 12)), {"mlx_lattice": ["numpy", "mlx[cpu]", "mlx-lattice"]}),
    ]
