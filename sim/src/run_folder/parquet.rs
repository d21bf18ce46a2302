//! Tables as Parquet files, with the types that CSV loses.

use std::sync::Arc;

use ::parquet::basic::{LogicalType, Repetition, Type as Physical};
use ::parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use ::parquet::schema::types::{Type, TypePtr};

use super::tables::{Column, Table};

/// Who wrote a file, which is the same whatever release of the library did.
const WRITER: &str = "covey";

/// A table as a file: one row group, not compressed, every column nullable.
///
/// # Errors
/// If the library fails, as nothing here should make it.
pub(super) fn bytes(table: &Table) -> Result<Vec<u8>> {
    let fields = table.0.iter().map(|(name, column)| field(name, column));
    let fields = fields.collect::<Result<Vec<TypePtr>>>()?;
    let schema = Type::group_type_builder("schema").with_fields(fields).build()?;
    let properties = WriterProperties::builder().set_created_by(WRITER.to_owned()).build();
    let mut bytes = Vec::new();
    let mut file = SerializedFileWriter::new(&mut bytes, Arc::new(schema), Arc::new(properties))?;
    let mut rows = file.next_row_group()?;
    for (_, column) in &table.0 {
        let closed = || ParquetError::General("a column too many".to_owned());
        let mut writer = rows.next_column()?.ok_or_else(closed)?;
        // Unsigned numbers are stored as signed ones of the same bits.
        match column {
            Column::Whole(values) => {
                put::<Int64Type, _>(&mut writer, values, |it| it.cast_signed())
            }
            Column::Real(values) => put::<DoubleType, _>(&mut writer, values, |it| *it),
            Column::Text(values) => {
                put::<ByteArrayType, _>(&mut writer, values, |it| ByteArray::from(it.as_str()))
            }
        }?;
        writer.close()?;
    }
    rows.close()?;
    file.close()?;
    Ok(bytes)
}

fn field(name: &str, column: &Column) -> Result<TypePtr> {
    let (physical, logical) = match column {
        Column::Whole(_) => (Physical::INT64, Some(LogicalType::integer(64, false))),
        Column::Real(_) => (Physical::DOUBLE, None),
        Column::Text(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
    };
    let field = Type::primitive_type_builder(name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical);
    Ok(Arc::new(field.build()?))
}

/// Writes a column: the values that are there, and which lines have one.
fn put<T: DataType, V>(
    writer: &mut SerializedColumnWriter<'_>,
    lines: &[Option<V>],
    value: impl Fn(&V) -> T::T,
) -> Result<()> {
    let present: Vec<i16> = lines.iter().map(|line| i16::from(line.is_some())).collect();
    let values: Vec<T::T> = lines.iter().flatten().map(value).collect();
    writer.typed::<T>().write_batch(&values, Some(&present), None).map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    use ::parquet::record::{Field, Row};

    use super::*;

    #[test]
    fn what_is_in_a_table_is_read_back_with_its_types_and_what_is_missing_missing() {
        let long = "why \u{1f426}, \"quoted\",\nand on a second line".to_owned();
        let table = Table(vec![
            ("seed".to_owned(), Column::Whole(vec![Some(u64::MAX), Some(0), Some(7)])),
            ("quality".to_owned(), Column::Real(vec![Some(0.1), None, Some(f64::MIN_POSITIVE)])),
            ("failed".to_owned(), Column::Text(vec![None, Some(long.clone()), None])),
            ("exposed".to_owned(), Column::Whole(vec![None, None, None])),
        ]);
        let bytes = bytes(&table).expect("writes");
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&bytes).expect("has room");
        let file = SerializedFileReader::new(file).expect("is one");
        let rows: Vec<Row> =
            file.get_row_iter(None).expect("has rows").map(|row| row.expect("reads")).collect();
        let fields =
            |row: &Row| row.get_column_iter().map(|(_, field)| field.clone()).collect::<Vec<_>>();
        assert_eq!(rows.len(), 3);
        assert_eq!(
            fields(&rows[0]),
            [Field::ULong(u64::MAX), Field::Double(0.1), Field::Null, Field::Null]
        );
        assert_eq!(fields(&rows[1]), [Field::ULong(0), Field::Null, Field::Str(long), Field::Null]);
        let least = Field::Double(f64::MIN_POSITIVE);
        assert_eq!(fields(&rows[2]), [Field::ULong(7), least, Field::Null, Field::Null]);
        let names: Vec<&str> = rows[0].get_column_iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["seed", "quality", "failed", "exposed"]);
    }
}
