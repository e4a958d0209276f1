"""Read the imports of a project, and find those that break a rule. The rules are in `test_layers.py`.

The sources are parsed, not imported: an import inside a function or under TYPE_CHECKING counts like any other.
Each check returns its findings as lines of text; none means the rule is kept.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ENVIRONMENT_NAMES = frozenset({"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"})
CLOCK_METHODS = frozenset({"now", "utcnow", "today"})
CLOCK_FUNCTIONS = frozenset({"time.time", "time.time_ns", "time.localtime", "time.gmtime"})
CHANCE_MODULES = ("random", "secrets")

Modules = Mapping[str, "Module"]
Layers = Mapping[int, tuple[str, ...]]


@dataclass(frozen=True)
class Module:
    name: str
    tree: ast.Module
    is_package: bool = False


@dataclass(frozen=True)
class Import:
    """A line of `importer` that names `target`, in full: `from a import b` names `a.b`, a module or not."""

    importer: str
    line: int
    target: str


def parse(name: str, source: str, *, is_package: bool = False) -> Module:
    return Module(name, ast.parse(source), is_package)


def project(root: Path) -> dict[str, Module]:
    """Every module of the application, by its dotted name."""
    files = [root / "app.py", root / "gunicorn.conf.py"]
    files += [file for folder in ("stockapi", "workers") for file in sorted((root / folder).rglob("*.py"))]
    modules = {}
    for file in files:
        parts = file.relative_to(root).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        modules[name] = parse(name, file.read_text(encoding="utf-8"), is_package=is_package)
    return modules


def imports_of(module: Module) -> Iterator[Import]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module.name, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(module, node)
            for alias in node.names:
                yield Import(module.name, node.lineno, f"{origin}.{alias.name}")


def _origin(module: Module, node: ast.ImportFrom) -> str:
    """The full name between `from` and `import`."""
    if node.level == 0:
        return node.module or ""
    parts = module.name.split(".")
    package = parts[: len(parts) - node.level + module.is_package]
    return ".".join([*package, *([node.module] if node.module else [])])


def module_named(target: str, modules: Modules) -> str | None:
    """Our module that an import of `target` loads: `target` itself, or the module that has this name."""
    return next((name for name in (target, target.rpartition(".")[0]) if name in modules), None)


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a pattern matches the name. `package.*` matches the package and everything in it."""
    return any(fnmatchcase(name, pattern) or name == pattern.removesuffix(".*") for pattern in patterns)


def layer_of(name: str, layers: Layers) -> int | None:
    return next((layer for layer, patterns in layers.items() if matches(name, patterns)), None)


def unassigned(modules: Modules, layers: Layers) -> list[str]:
    return [f"{name} has no layer: put it into LAYERS" for name in modules if layer_of(name, layers) is None]


def upward_imports(modules: Modules, layers: Layers) -> list[str]:
    problems = []
    for module in modules.values():
        layer = layer_of(module.name, layers)
        for each in imports_of(module):
            target = module_named(each.target, modules)
            target_layer = None if target is None else layer_of(target, layers)
            if layer is not None and target_layer is not None and target_layer > layer:
                problems.append(
                    f"{module.name} line {each.line}: layer {layer} imports {target} of layer {target_layer}"
                )
    return problems


def circle(modules: Modules) -> str | None:
    """One circle of imports; None when there is none."""
    graph: dict[str, set[str]] = {name: set() for name in modules}
    for module in modules.values():
        targets = {module_named(each.target, modules) for each in imports_of(module)}
        graph[module.name] = {target for target in targets if target is not None}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as exc:
        return " <- ".join(exc.args[1])
    return None


def shadowed_modules(modules: Modules) -> list[str]:
    """Where a package's own file gives another meaning to the name of one of its modules.

    After `from a.b import errors` in a/__init__.py, `from a import errors` no longer means a/errors.py.
    """
    problems = []
    for package in (module for module in modules.values() if module.is_package):
        for node in ast.walk(package.tree):
            if not isinstance(node, ast.ImportFrom):
                continue
            for alias in node.names:
                bound = f"{package.name}.{alias.asname or alias.name}"
                if bound in modules and bound != f"{_origin(package, node)}.{alias.name}":
                    problems.append(f"{package.name} line {node.lineno}: {ast.unparse(node)} hides {bound}")
    return problems


def misplaced_imports(modules: Modules, only_in: Mapping[str, tuple[str, ...]]) -> list[str]:
    return [
        f"{module.name} line {each.line}: only {', '.join(allowed)} may import {package}"
        for module in modules.values()
        for each in imports_of(module)
        for package, allowed in only_in.items()
        if f"{each.target}.".startswith(f"{package}.") and not matches(module.name, allowed)
    ]


def hidden_imports(modules: Modules) -> list[str]:
    """Imports by a text, which are not import statements."""
    return [
        f"{module.name} line {node.lineno}: {ast.unparse(node)} hides an import"
        for module in modules.values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__")
    ]


def environment_reads(modules: Modules, reader: str) -> list[str]:
    return [
        f"{module.name} line {line}: only {reader} reads the environment"
        for module in modules.values()
        if module.name != reader
        for line in _lines_reading_the_environment(module.tree)
    ]


def _lines_reading_the_environment(tree: ast.Module) -> Iterator[int]:
    names_of_os = {
        alias.asname or "os"
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "os" or (alias.name.startswith("os.") and alias.asname is None)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute, lineno=line):
                if name in names_of_os and attribute in ENVIRONMENT_NAMES:
                    yield line
            case ast.ImportFrom(module="os", names=aliases, lineno=line):
                if any(alias.name in {*ENVIRONMENT_NAMES, "*"} for alias in aliases):
                    yield line


def impurities(modules: Modules, pure: tuple[str, ...]) -> list[str]:
    """The places where a pure module uses a clock or random numbers."""
    return [
        f"{module.name} line {line}: {what}"
        for module in modules.values()
        if matches(module.name, pure)
        for line, what in _looks_at_the_world(module)
    ]


def _looks_at_the_world(module: Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = ast.unparse(node.func)
            if node.func.attr in CLOCK_METHODS or called in CLOCK_FUNCTIONS:
                yield node.lineno, f"{called} reads the clock"
    for each in imports_of(module):
        if each.target.split(".")[0] in CHANCE_MODULES:
            yield each.line, f"{each.target} is chance"
