use super::*;

/// Titles and first words of a file's sections.
fn outline(name: &str, text: &str) -> Vec<(String, String)> {
    let (sections, _) = sections(Path::new(name), text);
    let mut at = 0;
    let mut outline = Vec::new();
    for section in sections {
        assert_eq!(section.range.start, at);
        at = section.range.end;
        let line = text[section.range].trim().lines().next().unwrap_or_default().to_owned();
        outline.push((section.title, line));
    }
    assert_eq!(at, text.len());
    outline
}

fn check(name: &str, text: &str, expected: &[(&str, &str)]) {
    let got = outline(name, text);
    let got: Vec<(&str, &str)> = got.iter().map(|(t, l)| (t.as_str(), l.as_str())).collect();
    assert_eq!(got, expected, "{name}");
}

#[test]
fn rust() {
    let text = "//! About.\n\nuse std::fmt;\n\n/// A bee.\n#[derive(Debug)]\npub struct Bee {\n    wings: u8, // two\n}\n\n\
        impl Bee {\n    /// Flies.\n    pub fn fly(&self) {}\n\n    fn rest(&self) {}\n}\n\n\
        impl fmt::Display for Bee {\n    fn fmt(&self) {}\n}\n\nconst N: u8 = 1;\n\nmod tests {\n    use super::*;\n\n    #[test]\n    fn flies() {}\n}\n";
    check(
        "a.rs",
        text,
        &[
            ("", "//! About."),
            ("Bee", "/// A bee."),
            ("Bee", "impl Bee {"),
            ("Bee › fly", "/// Flies."),
            ("Bee › rest", "fn rest(&self) {}"),
            ("fmt::Display for Bee", "impl fmt::Display for Bee {"),
            ("fmt::Display for Bee › fmt", "fn fmt(&self) {}"),
            ("", "const N: u8 = 1;"),
            ("tests", "mod tests {"),
            ("tests › flies", "#[test]"),
        ],
    );
}

#[test]
fn python() {
    let text = "import os\n\n# About it.\n@cached\ndef one(a):\n    def inner():\n        pass\n    return a\n\nclass Bee:\n    \"\"\"Doc.\"\"\"\n    n = 1\n\n    @property\n    def wings(self):\n        return 2\n\nprint(one(1))\n";
    check(
        "a.py",
        text,
        &[
            ("", "import os"),
            ("one", "# About it."),
            ("Bee", "class Bee:"),
            ("Bee › wings", "@property"),
            ("", "print(one(1))"),
        ],
    );
}

#[test]
fn javascript_and_typescript() {
    let text = "import x from 'x';\n\nexport default class Bee extends Insect {\n  wings() { return 2; }\n}\n\n// Adds.\nexport const add = (a, b) => a + b;\n\nconst n = 1;\n\nfunction go() {}\n";
    check(
        "a.js",
        text,
        &[
            ("", "import x from 'x';"),
            ("Bee", "export default class Bee extends Insect {"),
            ("Bee › wings", "wings() { return 2; }"),
            ("add", "// Adds."),
            ("", "const n = 1;"),
            ("go", "function go() {}"),
        ],
    );
    let text = "namespace hive {\n  export interface Bee { wings: number }\n  export function go(): void {}\n}\n\ntype Id = string;\n\nabstract class Base {\n  abstract x(): void;\n  y(): void {}\n}\n";
    check(
        "a.ts",
        text,
        &[
            ("hive", "namespace hive {"),
            ("hive › Bee", "export interface Bee { wings: number }"),
            ("hive › go", "export function go(): void {}"),
            ("Id", "type Id = string;"),
            ("Base", "abstract class Base {"),
            ("Base › y", "y(): void {}"),
        ],
    );
    check(
        "a.tsx",
        "const App = () => <div>hi</div>;\n",
        &[("App", "const App = () => <div>hi</div>;")],
    );
}

#[test]
fn go_and_java() {
    let text = "package bees\n\nimport \"fmt\"\n\n// Bee flies.\ntype Bee struct {\n\tWings int\n}\n\nfunc (b *Bee) Fly() {}\n\nfunc main() {}\n";
    check(
        "a.go",
        text,
        &[
            ("", "package bees"),
            ("Bee", "// Bee flies."),
            ("Bee › Fly", "func (b *Bee) Fly() {}"),
            ("main", "func main() {}"),
        ],
    );
    let text = "package a;\n\n/** A bee. */\npublic class Bee {\n  private int wings;\n\n  public Bee() {}\n\n  int wings() { return wings; }\n\n  enum Kind { A, B }\n}\n";
    check(
        "Bee.java",
        text,
        &[
            ("", "package a;"),
            ("Bee", "/** A bee. */"),
            ("Bee › Bee", "public Bee() {}"),
            ("Bee › wings", "int wings() { return wings; }"),
            ("Bee › Kind", "enum Kind { A, B }"),
        ],
    );
}

#[test]
fn c_and_cpp() {
    let text = "#ifndef BEE_H\n#define BEE_H\n#include <stdio.h>\n\nstruct bee {\n  int wings;\n};\n\n/* Flies. */\nstatic int *fly(struct bee *b) { return 0; }\n\n#endif\n";
    check(
        "bee.h",
        text,
        &[("", "#ifndef BEE_H"), ("bee", "struct bee {"), ("fly", "/* Flies. */")],
    );
    let text = "#include <x>\nnamespace hive {\n\ntemplate <typename T>\nclass Bee {\n public:\n  void fly() {}\n};\n\nvoid Bee<int>::rest() {}\n\nint &ref(int &a) { return a; }\n}\n";
    check(
        "bee.cpp",
        text,
        &[
            ("", "#include <x>"),
            ("hive", "namespace hive {"),
            ("hive › Bee", "template <typename T>"),
            ("hive › Bee › fly", "void fly() {}"),
            ("hive › Bee<int>::rest", "void Bee<int>::rest() {}"),
            ("hive › ref", "int &ref(int &a) { return a; }"),
        ],
    );
}

#[test]
fn what_is_no_program_is_one_section() {
    let minified = "function a(){return 1};".repeat(1000);
    let nested = format!("x = {}{}", "(".repeat(50_000), ")".repeat(50_000));
    let huge = "fn a() {}\n".repeat(MAX_PARSED / 10 + 1);
    for (name, text) in [("a.min.js", &minified), ("a.rs", &huge), ("a.rb", &minified)] {
        assert_eq!(outline(name, text).len(), 1, "{name}");
    }
    outline("a.py", &nested.replace("((((((((", "((((((((\n"));
    outline("a.rs", &"impl A { mod b {\n".repeat(20_000));
    outline("a.cpp", &"template<class T> namespace {\n<<<< ::: }\n".repeat(10_000));
}
