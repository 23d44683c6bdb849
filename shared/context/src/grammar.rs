//! Parsers of the common languages, and which of their nodes define something.

use std::ops::ControlFlow;

use tree_sitter::{Language, ParseOptions, Parser, Tree};

/// Larger texts are not parsed.
const MAX_PARSE: usize = 512 * 1024;
/// How often a parser may ask whether to go on; far more than a file of half a megabyte takes.
const MAX_STEPS: u32 = 50_000;
/// Bytes that a parser is given at once: what it reads again is counted by so many.
const CHUNK: usize = 512;
/// How often a parser may read the whole text; more means that it looks for an end that is not there, again and again.
const MAX_READS: usize = 40;

/// A language that can be parsed.
pub(crate) struct Grammar {
    language: Language,
    /// Nodes that define something with a name.
    pub(crate) symbols: &'static [&'static str],
}

const PYTHON: &[&str] = &["function_definition", "class_definition"];
const RUST: &[&str] = &[
    "function_item",
    "function_signature_item",
    "struct_item",
    "enum_item",
    "union_item",
    "trait_item",
    "impl_item",
    "mod_item",
    "macro_definition",
    "const_item",
    "static_item",
    "type_item",
];
const GO: &[&str] = &["function_declaration", "method_declaration", "type_spec", "method_elem"];
const JAVA: &[&str] = &[
    "class_declaration",
    "interface_declaration",
    "enum_declaration",
    "record_declaration",
    "annotation_type_declaration",
    "method_declaration",
    "constructor_declaration",
];
const JAVASCRIPT: &[&str] = &[
    "function_declaration",
    "generator_function_declaration",
    "class_declaration",
    "method_definition",
    "variable_declarator",
    "assignment_expression",
];
const TYPESCRIPT: &[&str] = &[
    "function_declaration",
    "generator_function_declaration",
    "class_declaration",
    "abstract_class_declaration",
    "method_definition",
    "variable_declarator",
    "assignment_expression",
    "interface_declaration",
    "type_alias_declaration",
    "enum_declaration",
    "function_signature",
    "method_signature",
    "abstract_method_signature",
    "internal_module",
];
const C: &[&str] = &[
    "function_definition",
    "struct_specifier",
    "enum_specifier",
    "union_specifier",
    "type_definition",
    "preproc_def",
    "preproc_function_def",
];
const C_SHARP: &[&str] = &[
    "class_declaration",
    "interface_declaration",
    "struct_declaration",
    "enum_declaration",
    "record_declaration",
    "delegate_declaration",
    "method_declaration",
    "constructor_declaration",
    "property_declaration",
    "namespace_declaration",
];
const RUBY: &[&str] = &["method", "singleton_method", "class", "module"];
const PHP: &[&str] = &[
    "function_definition",
    "class_declaration",
    "interface_declaration",
    "trait_declaration",
    "enum_declaration",
    "method_declaration",
];

impl Grammar {
    /// The grammar for a path, by its extension.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let (language, symbols) = match path.rsplit_once('.')?.1 {
            "py" | "pyi" => (tree_sitter_python::LANGUAGE.into(), PYTHON),
            "rs" => (tree_sitter_rust::LANGUAGE.into(), RUST),
            "go" => (tree_sitter_go::LANGUAGE.into(), GO),
            "java" => (tree_sitter_java::LANGUAGE.into(), JAVA),
            "js" | "jsx" | "mjs" | "cjs" => (tree_sitter_javascript::LANGUAGE.into(), JAVASCRIPT),
            "ts" | "mts" | "cts" => (tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(), TYPESCRIPT),
            "tsx" => (tree_sitter_typescript::LANGUAGE_TSX.into(), TYPESCRIPT),
            "c" => (tree_sitter_c::LANGUAGE.into(), C),
            "cs" => (tree_sitter_c_sharp::LANGUAGE.into(), C_SHARP),
            "rb" => (tree_sitter_ruby::LANGUAGE.into(), RUBY),
            "php" => (tree_sitter_php::LANGUAGE_PHP.into(), PHP),
            _ => return None,
        };
        Some(Self { language, symbols })
    }

    /// Parses a text; `None` where it is too large or takes too long.
    pub(crate) fn parse(&self, text: &str) -> Option<Tree> {
        if text.len() > MAX_PARSE {
            return None;
        }
        let mut parser = Parser::new();
        parser.set_language(&self.language).ok()?;
        let mut steps = 0;
        let mut go_on = |_: &tree_sitter::ParseState| {
            steps += 1;
            if steps > MAX_STEPS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let bytes = text.as_bytes();
        let mut left = bytes.len().saturating_mul(MAX_READS) + 64 * CHUNK;
        let mut chunk = |at: usize, _| {
            left = left.saturating_sub(CHUNK);
            let end = if left == 0 { at } else { (at + CHUNK).min(bytes.len()) };
            bytes.get(at..end).unwrap_or_default()
        };
        let options = ParseOptions::new().progress_callback(&mut go_on);
        let tree = parser.parse_with_options(&mut chunk, None, Some(options));
        // Whoever was cut off saw another text.
        tree.filter(|_| left > 0)
    }
}
