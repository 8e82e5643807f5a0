"""``$filter`` as a SQLite condition.

odata-query parses and walks the expression; what it lacks is done here: columns are checked
against the type, literals against the column, instants keep their fractions and their offset, and
no text reaches the SQL unquoted.
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

# The lexer takes the head of a name such as AllowedSessions for the word `all`, and knows no
# names that begin with a letter beyond ASCII.
MASK = "zz__"
RESERVED = re.compile(
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
ReadLiteral = Callable[[str, Column | None], str]


def read_instant(text: str, column: Column | None = None) -> str:  # noqa: ARG001 - see ReadLiteral
    """The stored text of a literal instant."""
    try:
        return instant(text)
    except ValueError:
        message = f"Unrecognized 'Edm.DateTimeOffset' literal '{text}'."
        raise Refusal(message) from None


def quoted(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''").replace("\0", "") + "'"


def column_of(entity_type: EntityType, name: str, *, selecting: bool = False) -> Column:
    """Find a column that may be named in a query, whatever the case of its letters.

    Raises:
        Refusal: There is none, or it is restricted.
        EmptyAnswer: It is a formula, which can be selected only.
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
    """Translates one expression over one type."""

    def __init__(self, entity_type: EntityType, read_literal: ReadLiteral = read_instant) -> None:
        super().__init__()
        self._type = entity_type
        self._read_literal = read_literal

    def edm_type(self, node: ast._Node) -> str | None:
        """The Edm type of an expression; None for null."""
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
        return column_of(self._type, full_name.removeprefix(MASK))

    def _operand(self, node: ast._Node, other: ast._Node) -> str:
        """One side of a comparison, as the type on the other side wants it."""
        column = self._column(other) if isinstance(other, ast.Identifier) else None
        if isinstance(node, ast.DateTime | ast.Date):
            return quoted(self._read_literal(node.val, column))
        if isinstance(node, ast.Integer | ast.Float) and self.edm_type(other) == "Edm.Decimal":
            # Text against a decimal column is compared by the column's own, exact, order.
            return quoted(node.val) if column is not None else node.val
        if isinstance(node, ast.GUID):
            return quoted(node.val.lower())
        return cast("str", self.visit(node))

    @override
    def visit_Identifier(self, node: ast.Identifier) -> str:
        return '"' + self._column(node).stored_as.replace('"', '""') + '"'

    @override
    def visit_String(self, node: ast.String) -> str:
        return quoted(node.val)

    @override
    def visit_DateTime(self, node: ast.DateTime) -> str:
        return quoted(self._read_literal(node.val, None))

    @override
    def visit_Date(self, node: ast.Date) -> str:
        return quoted(self._read_literal(node.val, None))

    @override
    def visit_Compare(self, node: ast.Compare) -> str:
        left, right = node.left, node.right
        if isinstance(node.comparator, ast.In):
            options = cast("ast.List", right).val
            return f"({self.visit(left)} IN ({','.join(self._operand(x, left) for x in options)}))"
        sql, kind = OPERATORS[type(node.comparator)]
        types = self.edm_type(left), self.edm_type(right)
        groups: list[Group] = [traits(each).group for each in types if each is not None]
        if len(set(groups)) > 1 or "binary" in groups:
            message = (
                "A binary operator with incompatible types was detected. Found operand types"
                f" '{types[0]}' and '{types[1]}' for operator kind '{kind}'."
            )
            raise Refusal(message)
        if isinstance(right, ast.Null) and sql in {"=", "<>"}:
            return f"({self.visit(left)} IS {'NOT ' if sql == '<>' else ''}NULL)"
        if isinstance(right, ast.Date) and sql == "=":
            # Acumatica's own exercise compares with a bare date to mean "on that day".
            start = self._operand(right, left)
            day = timedelta(days=1)
            end = quoted(instant(datetime.fromisoformat(start.strip("'")) + day))
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

    def visit_USub(self, node: ast.USub) -> str:  # noqa: ARG002, N802 - the visitor's signature
        """Negate."""
        return "-"

    def _strings(self, name: str, args: Sequence[ast._Node]) -> list[str]:
        for each in args:
            if self.edm_type(each) not in {"Edm.String", None}:
                message = f"No function signature for the function with name '{name}' matches."
                raise Refusal(message)
        return [self.visit(each) for each in args]

    # The library's own patterns let quotes and wildcards of the text through.
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


def parts(node: ast._Node, op: type[ast._Node]) -> list[ast._Node]:
    """The operands of a chain of one operator."""
    if isinstance(node, ast.BoolOp) and isinstance(node.op, op):
        return [*parts(node.left, op), *parts(node.right, op)]
    return [node]


def lower_bound(node: ast.BoolOp) -> ast.Compare | None:
    """What all branches of ``A gt 1 or (A eq 1 and B gt 2)`` say together: ``A ge 1``.

    SQLite does not see it, and would walk the index from its beginning.
    """
    shared: set[tuple[ast._Node, ast._Node]] | None = None
    for branch in parts(node, ast.Or):
        bounds: set[tuple[ast._Node, ast._Node]] = {
            (each.left, each.right)
            for each in parts(branch, ast.And)
            if isinstance(each, ast.Compare)
            and isinstance(each.comparator, ast.Gt | ast.GtE | ast.Eq)
            and isinstance(each.left, ast.Identifier)
            and type(each.right) in LITERALS
        }
        shared = bounds if shared is None else shared & bounds
    for left, right in shared or ():
        return ast.Compare(ast.GtE(), left, right)
    return None


def masked(text: str) -> str:
    """Rename what the lexer would cut in two."""

    def rename(match: re.Match[str]) -> str:
        word = match.group()
        if word.startswith("'"):
            return word
        return "not (" if word.lower() == "not(" else MASK + word

    return RESERVED.sub(rename, text)


def condition(text: str, entity_type: EntityType, read_literal: ReadLiteral = read_instant) -> str:
    """The SQL condition of a ``$filter``.

    Raises:
        Refusal: The expression cannot be read, or names what may not be filtered.
    """
    try:
        tree = ODataParser().parse(ODataLexer().tokenize(masked(text.strip())))
        return cast("str", Filter(entity_type, read_literal).visit(tree))
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
        found = text[at : at + 40]
        message = f"Syntax error at position {at} in '{text}': '{found}' is not a valid token."
        raise Refusal(message) from error
    except exceptions.ODataException as error:
        literal = re.search(r"datetimeoffset'[^']*'|datetime'[^']*'|guid'[^']*'", text)
        if literal:
            at, found = literal.start(), literal.group()
            message = f"Unrecognized 'Edm.String' literal '{found}' at '{at}' in '{text}'."
        else:
            message = f"Syntax error in '{text}'."
        raise Refusal(message) from error
