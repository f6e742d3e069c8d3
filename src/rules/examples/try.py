import ast, doctest, importlib, json, os, sys, unittest
paths, calls, of_task, kept = json.loads(DATA)
def is_work(node):
    return isinstance(node, (ast.For, ast.While, ast.With)) or (
        isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant))
def load(path):
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    if any(is_work(node) for node in tree.body):
        return None
    folder, name = os.path.split(os.path.abspath(path))
    name = name[:-3]
    while os.path.exists(os.path.join(folder, "__init__.py")):
        folder, last = os.path.split(folder)
        name = last + "." + name
    sys.path.insert(0, folder)
    if name in sys.modules:
        return None
    try:
        return vars(importlib.import_module(name))
    except (SyntaxError, NameError, TypeError, AttributeError):
        raise
    except Exception:
        return None
known = {path: load(path) for path in paths if os.path.exists(path)}
every = {key: value for names in known.values() for key, value in (names or {}).items()}
n_run, faults = 0, []
class Checker(doctest.OutputChecker):
    def check_output(self, want, got, flags):
        if super().check_output(want, got, flags):
            return True
        try:
            # "a" is 'a'.
            want, got = ast.literal_eval(want.strip()), ast.literal_eval(got.strip())
        except (SyntaxError, ValueError):
            return False
        return type(want) is type(got) and want == got
def is_claim(source):
    try:
        line, = ast.parse(source).body
    except (SyntaxError, ValueError):
        return False
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Compare)
def report(text, names):
    lines = []
    test = doctest.DocTestParser().get_doctest(text, dict(names), "example", None, 0)
    for example in test.examples:
        # Not how doctest reads `f(1) == 2` without a result, but what is meant.
        if not example.want and is_claim(example.source):
            example.want = "True\n"
    result = doctest.DocTestRunner(Checker(), verbose=False).run(test, out=lines.append)
    return "".join(lines) if result.failed else ""
for path, function, args, wanted in calls:
    names = known.get(path)
    if not names:
        continue
    n_run += 1
    call, want = f"{function}({args})", ast.literal_eval(wanted)
    try:
        got = eval(call, dict(names))
    except Exception as error:
        faults.append(f"{call} raises {type(error).__name__}: {error}; the task says {wanted}")
        continue
    if hasattr(got, "__next__"):
        got = list(got)
    near = type(want) is float and type(got) is float and abs(got - want) <= 0.5 * 0.1 ** len(wanted.partition(".")[2])
    if got != want and not near:
        faults.append(f"{call} gives {got!r}; the task says {wanted}")
for text in of_task if every else []:
    n_run += 1
    faults.extend(filter(None, [report(text, every)]))
if faults:
    sys.exit("Examples of the task do not hold:\n" + "\n".join(faults))
class Examples(unittest.TestCase):
    pass
suite = unittest.TestSuite()
for number, (path, name, text) in enumerate(kept):
    if not known.get(path):
        continue
    def hold(self, text=text, names=known[path]):
        self.longMessage = False
        text = report(text, names)
        if text:
            self.fail("an example in its docstring does not hold:\n" + text)
    name = f"{name}_{number}"
    setattr(Examples, name, hold)
    suite.addTest(Examples(name))
if suite.countTestCases() or not n_run:
    result = unittest.TextTestRunner().run(suite)
    sys.exit(1 if not result.wasSuccessful() else 0 if n_run + result.testsRun else 5)
