"""XTCE 1.2 (OMG) documents of the layouts, for ground systems such as Yamcs."""

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from itertools import groupby
from typing import Final

from pygnc.formats import journal, status
from pygnc.formats.layout import Field, scalars, size_of
from pygnc.host.sentence_types import TYPES, VERSION, SentenceType

NAMESPACE: Final = "http://www.omg.org/spec/XTCE/20180204"
_SCHEMA: Final = "https://www.omg.org/spec/XTCE/20180204/SpaceSystem.xsd"
_CRC: Final = Field("crc", "I", "", "CRC-32 (zlib) over everything after sync")
_INTEGERS: Final = {"B": 8, "H": 16, "I": 32, "Q": 64, "h": 16}
_FLOATS: Final = {"f": 32, "d": 64}
SENTENCE: Final = (
    Field("type", "4s", "", "type of the sentence", fixed=b"TYPE"),
    Field("body_size", "H", "B", "size of the body"),
)
"""Fields before the body of a sentence in the packets that the XTCE document describes."""


def status_document() -> str:
    """Return the description of the status record: a container per version, each of which extends the one before."""
    system = _System("pygnc_status", status.VERSION, "State of the run: pygnc_status.bin")
    head = [field for field in status.FIELDS if field.name in {"magic", "version"}]
    system.container("status", "Beginning of a status record of any version", head)
    base, conditions = "status", {"magic": status.MAGIC.decode()}
    rest = [field for field in status.FIELDS if field not in head]
    for version, fields in groupby(rest, lambda field: max(field.since, status.OLDEST_VERSION)):
        about = f"Fields since version {version}; a CRC-32 (zlib) over all bytes before it ends the record"
        system.container(f"status_{version}", about, fields, base, conditions | {"version": f">={version}"})
        base, conditions = f"status_{version}", {}
    return system.document()


def sentences_document() -> str:
    """Return the description of the sentences: a container per type, after the letters of the type and the size."""
    system = _System("pygnc_sentences", VERSION, "Sentences of the streaming interface")
    system.container("sentence", "Type and size of the body of any sentence; the body follows", SENTENCE)
    for kind in TYPES.values():
        fields = [field.prefixed(f"{kind.name}_") for field in (*kind.fields, *scalars(kind.packet))]
        entries = system.container(kind.name, kind.meaning, fields, "sentence", {"type": kind.name})
        if kind.tail and not kind.packet:
            system.tail(f"{kind.name}_tail", kind, entries)
    return system.document()


def journal_document() -> str:
    """Return the description of a record of a journal; its payload is MessagePack, which XTCE cannot describe."""
    system = _System("pygnc_journal", journal.VERSION, "Records of journals")
    entries = system.container("journal_record", "Record of a journal, *.pgj", journal.FIELDS)
    system.binary("payload", "payload, MessagePack", entries, "payload_size", 0)
    system.entry(_CRC, entries)
    return system.document()


class _System:
    """Space system under construction."""

    def __init__(self, name: str, version: int, about: str) -> None:
        self._root = ET.Element(
            "SpaceSystem",
            {
                "xmlns": NAMESPACE,
                "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
                "xsi:schemaLocation": f"{NAMESPACE} {_SCHEMA}",
                "name": name,
                "shortDescription": about,
            },
        )
        ET.SubElement(self._root, "Header", version=str(version), validationStatus="Working")
        telemetry = ET.SubElement(self._root, "TelemetryMetaData")
        self._types = ET.SubElement(telemetry, "ParameterTypeSet")
        self._parameters = ET.SubElement(telemetry, "ParameterSet")
        self._containers = ET.SubElement(telemetry, "ContainerSet")
        self._names: dict[bytes, str] = {}

    def document(self) -> str:
        ET.indent(self._root)
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(self._root, encoding="unicode")}\n'

    def container(
        self, name: str, about: str, fields: Iterable[Field], base: str = "", conditions: dict[str, str] | None = None
    ) -> ET.Element:
        """Add a container, and the parameters in it; return its list of entries."""
        container = ET.SubElement(self._containers, "SequenceContainer", name=name, shortDescription=about)
        entries = ET.SubElement(container, "EntryList")
        for field in scalars(fields):
            self.entry(field, entries)
        if conditions:
            extended = ET.SubElement(container, "BaseContainer", containerRef=base)
            criteria = ET.SubElement(ET.SubElement(extended, "RestrictionCriteria"), "ComparisonList")
            for parameter, condition in conditions.items():
                _compare(criteria, parameter, condition.removeprefix(">="), ">=" if ">=" in condition else "==")
        return entries

    def entry(self, field: Field, entries: ET.Element) -> None:
        """Add the parameter of a field to a container."""
        if unused := field.bits and 8 * field.size - field.bits:
            pad = self._add(f"{field.name}_unused", "unused bits", _integer("unsigned", unused))
            ET.SubElement(entries, "ParameterRefEntry", parameterRef=pad.get("name", ""))
        flags = ", ".join(f"{mask} {word}" for mask, word in field.flags)
        parameter = self._add(field.name, field.meaning, _type(field), f"Flags: {flags}" if flags else "")
        if field.valid_if:
            properties = ET.SubElement(parameter, "ParameterProperties")
            condition = ET.SubElement(properties, "ValidityCondition")
            _compare(condition, field.valid_if[0], str(field.valid_if[1]), ">=", calibrated=False)
        ET.SubElement(entries, "ParameterRefEntry", parameterRef=field.name)

    def tail(self, name: str, kind: SentenceType, entries: ET.Element) -> None:
        """Add the bytes or the text after the fields of a sentence."""
        if not kind.tail_is_text:
            self.binary(name, kind.tail, entries, "body_size", size_of(kind.fields))
            return
        declared = ET.Element("StringParameterType")
        encoding = ET.SubElement(declared, "StringDataEncoding", encoding="UTF-8")
        variable = ET.SubElement(encoding, "Variable", maxSizeInBits=str(8 * kind.tail_max))
        _dynamic_size(variable, "body_size", size_of(kind.fields))
        self._add(name, kind.tail, declared)
        ET.SubElement(entries, "ParameterRefEntry", parameterRef=name)

    def binary(self, name: str, about: str, entries: ET.Element, size: str, less: int) -> None:
        """Add bytes whose number is that in the parameter `size`, minus `less`."""
        declared = ET.Element("BinaryParameterType")
        bits = ET.SubElement(ET.SubElement(declared, "BinaryDataEncoding"), "SizeInBits")
        _dynamic_size(bits, size, less)
        self._add(name, about, declared)
        ET.SubElement(entries, "ParameterRefEntry", parameterRef=name)

    def _add(self, name: str, about: str, declared: ET.Element, details: str = "") -> ET.Element:
        """Add a parameter, and its type unless there is an equal one."""
        content = ET.tostring(declared)
        if content not in self._names:
            self._names[content] = f"{name}_type"
            declared.set("name", f"{name}_type")
            self._types.append(declared)
        parameter = ET.SubElement(
            self._parameters, "Parameter", name=name, parameterTypeRef=self._names[content], shortDescription=about
        )
        if details:
            ET.SubElement(parameter, "LongDescription").text = details
        return parameter


def _compare(parent: ET.Element, parameter: str, value: str, operator: str, *, calibrated: bool = True) -> None:
    ET.SubElement(
        parent,
        "Comparison",
        parameterRef=parameter,
        comparisonOperator=operator,
        value=value,
        useCalibratedValue=str(calibrated).lower(),
    )


def _dynamic_size(parent: ET.Element, parameter: str, less: int) -> None:
    size = ET.SubElement(parent, "DynamicValue")
    ET.SubElement(size, "ParameterInstanceRef", parameterRef=parameter)
    ET.SubElement(size, "LinearAdjustment", slope="8", intercept=str(-8 * less))


def _type(field: Field) -> ET.Element:
    """Return the type of the parameter of a field, without a name."""
    if field.code.endswith("s") and not field.bits:
        return _fixed_bytes(field)
    if field.code in _FLOATS:
        size = str(_FLOATS[field.code])
        declared = ET.Element("FloatParameterType", sizeInBits=size)
        encoding = ET.Element("FloatDataEncoding", sizeInBits=size, encoding="IEEE754_1985")
    else:
        bits = field.bits or _INTEGERS[field.code[-1]]
        declared = _integer("twosComplement" if field.bits or field.code == "h" else "unsigned", bits)
        encoding = declared[0]
        declared.remove(encoding)
        if field.words:
            declared = ET.Element("EnumeratedParameterType")
        elif field.scale != 1.0 or field.curve:
            declared = ET.Element("FloatParameterType", sizeInBits="64")
            _calibrate(encoding, field)
    if not field.code.startswith(">") and not field.bits:
        encoding.set("byteOrder", "leastSignificantByteFirst")
    if field.unit:
        ET.SubElement(ET.SubElement(declared, "UnitSet"), "Unit").text = field.unit
    declared.append(encoding)
    if field.words:
        words = ET.SubElement(declared, "EnumerationList")
        for number, word in field.words:
            ET.SubElement(words, "Enumeration", value=str(number), label=word)
    return declared


def _integer(encoding: str, bits: int) -> ET.Element:
    declared = ET.Element("IntegerParameterType", signed=str(encoding != "unsigned").lower(), sizeInBits=str(bits))
    ET.SubElement(declared, "IntegerDataEncoding", sizeInBits=str(bits), encoding=encoding)
    return declared


def _fixed_bytes(field: Field) -> ET.Element:
    """Return the type of fixed bytes: a string if they are letters."""
    bits = str(8 * field.size)
    if not field.fixed.isalpha():
        declared = ET.Element("BinaryParameterType")
        size = ET.SubElement(ET.SubElement(declared, "BinaryDataEncoding"), "SizeInBits")
    else:
        declared = ET.Element("StringParameterType")
        encoding = ET.SubElement(declared, "StringDataEncoding", encoding="US-ASCII")
        size = ET.SubElement(ET.SubElement(encoding, "SizeInBits"), "Fixed")
    ET.SubElement(size, "FixedValue").text = bits
    return declared


def _calibrate(encoding: ET.Element, field: Field) -> None:
    calibrator = ET.SubElement(encoding, "DefaultCalibrator")
    if field.curve:
        spline = ET.SubElement(calibrator, "SplineCalibrator", order="1")
        for raw, quantity in field.curve:
            ET.SubElement(spline, "SplinePoint", raw=str(raw), calibrated=repr(quantity))
    else:
        polynomial = ET.SubElement(calibrator, "PolynomialCalibrator")
        ET.SubElement(polynomial, "Term", coefficient=repr(field.scale), exponent="1")
