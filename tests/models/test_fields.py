"""The fields of a bar and their order in CSV."""

from stockapi.models.fields import BASE_CSV_FIELDS, CSV_FIELDS, INDICATOR_FIELDS


def test_the_csv_header_is_the_one_of_the_contract() -> None:
    assert ",".join(CSV_FIELDS) == (
        "ticker,time,open,high,low,close,volume,ma10,ma20,ma50,ma100,ma200,"
        "ma10_score,ma20_score,ma50_score,ma100_score,ma200_score,close_changed,volume_changed,total_money_changed"
    )
    assert (len(BASE_CSV_FIELDS), len(INDICATOR_FIELDS)) == (7, 13)
