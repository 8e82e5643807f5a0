"""``$filter`` translated to a SQLite condition.

odata-query parses the expression and visits its nodes. This module adds what the library lacks:
it checks columns against the type and literals against the column, keeps the fractions and the
offset of instants, and quotes all text in the SQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import cast

from odata_query import ast, exceptions
from odata_query.grammar import ODataLexer, ODataParser
from odata_query.sql.sqlite import AstToSqliteSqlVisitor
from typing_extensions import override

from sandbox.errors import EmptyAnswer, Refusal, restricted_property, unknown_property
from sandbox.model import Column, EntityType
from sandbox.values import Group, instant, traits

# The lexer splits a name such as AllowedSessions at the keyword `all`, and does not support names
# that begin with a non-ASCII letter. A prefix makes such names acceptable.
PREFIX = "zz__"
SPLIT_NAMES = re.compile(
    r"'(?:[^']|'')*'|\bnot\(|\b(?:any|all|null|true|false|not)\w+|\b(?![_a-zA-Z])[^\W\d]\w*",
    re.IGNORECASE,
)
OPERATORS: dict[type[ast._Node], tuple[str, str]] = {
    ast.Eq: ("=", "Equal"),
    ast.NotEq: ("<>", "NotEqual"),
    ast.Lt: ("<", "LessThan"),
    ast.LtE: ("<=", "LessThanOrEqual"),
    ast.Gt: (">", "GreaterThan"),
    ast.GtE: (">=", "GreaterThanOrEqual"),
}
LITERALS: dict[type[ast._Node], str] = {
    ast.Integer: "Edm.Int32",
    ast.Float: "Edm.Decimal",
    ast.String: "Edm.String",
    ast.Boolean: "Edm.Boolean",
    ast.GUID: "Edm.Guid",
    ast.DateTime: "Edm.DateTimeOffset",
    ast.Date: "Edm.DateTimeOffset",
}
FUNCTIONS = {
    "contains": "Edm.Boolean",
    "startswith": "Edm.Boolean",
    "endswith": "Edm.Boolean",
    "length": "Edm.Int32",
    "indexof": "Edm.Int32",
    "year": "Edm.Int32",
    "month": "Edm.Int32",
    "day": "Edm.Int32",
    "hour": "Edm.Int32",
    "minute": "Edm.Int32",
    "date": "Edm.DateTimeOffset",
    "now": "Edm.DateTimeOffset",
}
ParseInstant = Callable[[str, Column | None], str]


def parse_instant(text: str, column: Column | None = None) -> str:  # noqa: ARG001 - see ParseInstant
    """Return the stored text of a literal instant."""
    try:
        return instant(text)
    except ValueError:
        message = f"Unrecognized 'Edm.DateTimeOffset' literal '{text}'."
        raise Refusal(message) from None


def text_literal(text: str) -> str:
    """Return a text as an SQL string literal."""
    return "'" + text.replace("'", "''").replace("\0", "") + "'"


def find_column(entity_type: EntityType, name: str, *, selecting: bool = False) -> Column:
    """Find the column that a query names, ignoring case.

    Raises:
        Refusal: The column is unknown or restricted.
        EmptyAnswer: The column is a formula, which can only be selected.
    """
    column = entity_type.columns.get(name.lower())
    if column is None:
        raise unknown_property(name, entity_type.name)
    if column.restricted:
        raise restricted_property(column.name)
    if column.declared.formula and not selecting:
        raise EmptyAnswer
    return column


class Filter(AstToSqliteSqlVisitor):
    """Translates one expression over one type to SQL."""

    def __init__(self, entity_type: EntityType, parse_instant: ParseInstant) -> None:
        super().__init__()
        self._type = entity_type
        self._parse_instant = parse_instant

    def edm_type(self, node: ast._Node) -> str | None:
        """Return the Edm type of an expression, or None for null."""
        if isinstance(node, ast.Identifier):
            return self._column(node).declared.type
        if isinstance(node, ast.Null):
            return None
        if isinstance(node, ast.Call):
            return FUNCTIONS.get(node.func.name.lower(), "Edm.String")
        if isinstance(node, ast.BinOp):
            return "Edm.Decimal"
        return LITERALS.get(type(node), "Edm.Boolean")

    def _column(self, node: ast.Identifier) -> Column:
        full_name = ".".join([*node.namespace, node.name])
        return find_column(self._type, full_name.removeprefix(PREFIX))

    def _operand(self, node: ast._Node, other: ast._Node) -> str:
        """Translate one side of a comparison, given the type of the other side."""
        column = self._column(other) if isinstance(other, ast.Identifier) else None
        if isinstance(node, ast.DateTime | ast.Date):
            return text_literal(self._parse_instant(node.val, column))
        if isinstance(node, ast.Integer | ast.Float) and self.edm_type(other) == "Edm.Decimal":
            # As text, the literal is compared by the exact collation of the decimal column.
            return text_literal(node.val) if column is not None else node.val
        if isinstance(node, ast.GUID):
            return text_literal(node.val.lower())
        return cast("str", self.visit(node))

    @override
    def visit_Identifier(self, node: ast.Identifier) -> str:
        return '"' + self._column(node).stored_as.replace('"', '""') + '"'

    @override
    def visit_String(self, node: ast.String) -> str:
        return text_literal(node.val)

    @override
    def visit_DateTime(self, node: ast.DateTime) -> str:
        return text_literal(self._parse_instant(node.val, None))

    @override
    def visit_Date(self, node: ast.Date) -> str:
        return text_literal(self._parse_instant(node.val, None))

    @override
    def visit_Compare(self, node: ast.Compare) -> str:
        left, right = node.left, node.right
        if isinstance(node.comparator, ast.In):
            items = ",".join(self._operand(item, left) for item in cast("ast.List", right).val)
            return f"({self.visit(left)} IN ({items}))"
        sql, kind = OPERATORS[type(node.comparator)]
        types = self.edm_type(left), self.edm_type(right)
        groups: list[Group] = [traits(name).group for name in types if name is not None]
        if len(set(groups)) > 1 or "binary" in groups:
            message = (
                "A binary operator with incompatible types was detected. Found operand types"
                f" '{types[0]}' and '{types[1]}' for operator kind '{kind}'."
            )
            raise Refusal(message)
        if isinstance(right, ast.Null) and sql in {"=", "<>"}:
            return f"({self.visit(left)} IS {'NOT ' if sql == '<>' else ''}NULL)"
        if isinstance(right, ast.Date) and sql == "=":
            # In an exercise of Acumatica's, equality with a bare date means "on that day".
            start = self._operand(right, left)
            day = timedelta(days=1)
            end = text_literal(instant(datetime.fromisoformat(start.strip("'")) + day))
            column = self.visit(left)
            return f"({column} >= {start} AND {column} < {end})"
        return f"({self._operand(left, right)} {sql} {self._operand(right, left)})"

    @override
    def visit_BoolOp(self, node: ast.BoolOp) -> str:
        sql = f"({self.visit(node.left)} {self.visit(node.op)} {self.visit(node.right)})"
        bound = lower_bound(node) if isinstance(node.op, ast.Or) else None
        return sql if bound is None else f"({self.visit(bound)} AND {sql})"

    @override
    def visit_UnaryOp(self, node: ast.UnaryOp) -> str:
        return f"({self.visit(node.op)} ({self.visit(node.operand)}))"

    @override
    def visit_BinOp(self, node: ast.BinOp) -> str:
        return f"({self.visit(node.left)} {self.visit(node.op)} {self.visit(node.right)})"

    def visit_USub(self, node: ast.USub) -> str:  # noqa: ARG002, N802 - signature of the visitor
        """Translate a minus sign."""
        return "-"

    def _strings(self, name: str, args: Sequence[ast._Node]) -> list[str]:
        for arg in args:
            if self.edm_type(arg) not in {"Edm.String", None}:
                message = f"No function signature for the function with name '{name}' matches."
                raise Refusal(message)
        return [self.visit(arg) for arg in args]

    # The library's LIKE patterns do not escape quotes and wildcards in the text.
    @override
    def sqlfunc_contains(self, *args: ast._Node) -> str:
        text, part = self._strings("contains", args)
        return f"(instr({text},{part})>0)"

    @override
    def sqlfunc_startswith(self, *args: ast._Node) -> str:
        text, part = self._strings("startswith", args)
        return f"(substr({text},1,length({part}))={part})"

    @override
    def sqlfunc_endswith(self, *args: ast._Node) -> str:
        text, part = self._strings("endswith", args)
        return f"(substr({text},-length({part}))={part} OR {part}='')"


def operands(node: ast._Node, op: type[ast._Node]) -> list[ast._Node]:
    """Return the operands of a chain of one operator."""
    if isinstance(node, ast.BoolOp) and isinstance(node.op, op):
        return [*operands(node.left, op), *operands(node.right, op)]
    return [node]


def lower_bound(node: ast.BoolOp) -> ast.Compare | None:
    """Return the lower bound that all branches of an ``or`` share.

    ``A gt 1 or (A eq 1 and B gt 2)`` implies ``A ge 1``. SQLite does not infer this, and would scan
    the index from its beginning.
    """
    shared: set[tuple[ast._Node, ast._Node]] | None = None
    for branch in operands(node, ast.Or):
        bounds: set[tuple[ast._Node, ast._Node]] = {
            (comparison.left, comparison.right)
            for comparison in operands(branch, ast.And)
            if isinstance(comparison, ast.Compare)
            and isinstance(comparison.comparator, ast.Gt | ast.GtE | ast.Eq)
            and isinstance(comparison.left, ast.Identifier)
            and type(comparison.right) in LITERALS
        }
        shared = bounds if shared is None else shared & bounds
    for left, right in shared or ():
        return ast.Compare(ast.GtE(), left, right)
    return None


def prefix_names(text: str) -> str:
    """Prefix the names that the lexer would split."""

    def prefixed(match: re.Match[str]) -> str:
        word = match.group()
        if word.startswith("'"):
            return word
        return "not (" if word.lower() == "not(" else PREFIX + word

    return SPLIT_NAMES.sub(prefixed, text)


def filter_condition(
    text: str, entity_type: EntityType, parse_instant: ParseInstant = parse_instant
) -> str:
    """Translate a ``$filter`` to an SQL condition.

    Raises:
        Refusal: The expression is not valid, or names a column that may not be filtered.
    """
    try:
        tree = ODataParser().parse(ODataLexer().tokenize(prefix_names(text.strip())))
        return cast("str", Filter(entity_type, parse_instant).visit(tree))
    except RecursionError:
        message = "Recursion depth exceeded allowed limit."
        raise Refusal(message) from None
    except exceptions.UnknownFunctionException as error:
        message = (
            f"An unknown function with name '{error.function_name}' was found. This may also be a"
            " function import or a key lookup on a navigation property, which is not allowed."
        )
        raise Refusal(message) from error
    except exceptions.TokenizingException as error:
        at = getattr(error.token, "index", 0)
        token = text[at : at + 40]
        message = f"Syntax error at position {at} in '{text}': '{token}' is not a valid token."
        raise Refusal(message) from error
    except exceptions.ODataException as error:
        literal = re.search(r"datetimeoffset'[^']*'|datetime'[^']*'|guid'[^']*'", text)
        if literal:
            at, token = literal.start(), literal.group()
            message = f"Unrecognized 'Edm.String' literal '{token}' at '{at}' in '{text}'."
        else:
            message = f"Syntax error in '{text}'."
        raise Refusal(message) from error
