"""The schemas of the answers under /udf for /openapi.json. As in `answers`, they only describe."""

from marshmallow import Schema, fields

from stockapi.api.openapi.answers import count, flag, several, text


class UdfErrorSchema(Schema):
    s = text("always error", enum=["error"])
    errmsg = text("what was wrong and what is allowed, in one line")


class UdfFoundSchema(Schema):
    symbol = text("the symbol")
    full_name = text("with its exchange; of coins with the market")
    ticker = text("the same, for further requests")
    description = text("its name")
    exchange = text("its exchange; CRYPTO for coins")
    type = text("stock, index, futures or crypto; empty where it is not known")


UdfSymbolSchema = Schema.from_dict(
    {
        "name": text("the symbol"),
        "ticker": text("with its exchange, for further requests"),
        "full_name": text("the same"),
        "description": text("its name"),
        "type": text("stock, index, futures or crypto; empty where it is not known"),
        "exchange": text("its exchange; CRYPTO for coins"),
        "listed_exchange": text("the same"),
        "exchange-traded": text("the same, for older clients"),
        "exchange-listed": text("the same, for older clients"),
        "timezone": text("of the session, as in the time zone database"),
        "session": text("hours of a day; 24x7 for coins"),
        "session_holidays": text("weekdays without a session of three years: YYYYMMDD, separated by commas"),
        "format": text("how prices are written", enum=["price"]),
        "pricescale": count("the smallest change of a price is minmov / pricescale"),
        "minmov": count("see pricescale"),
        "minmov2": count("always 0"),
        "fractional": flag("always false"),
        "variable_tick_size": text("steps by price: step, limit, step, ...", required=False),
        "has_intraday": flag("always true"),
        "has_daily": flag("always true"),
        "has_weekly_and_monthly": flag("always true"),
        "intraday_multipliers": fields.List(fields.String(), required=True),
        "supported_resolutions": fields.List(fields.String(), required=True),
        "visible_plots_set": text("always ohlcv"),
        "volume_precision": count("decimals of volumes"),
        "data_status": text("always streaming"),
        "currency_code": text("of prices; null for points", null=True),
    },
    name="UdfSymbol",
)


class UdfQuoteSchema(Schema):
    s = text("error for a symbol without bars", enum=["ok", "error"])
    n = text("the symbol as it was asked for")
    v = fields.Dict(required=True, metadata={"description": "prices: lp, ch, chp, open_price, ...; empty for an error"})


class UdfQuotesSchema(Schema):
    s = text("always ok", enum=["ok"])
    d = several(UdfQuoteSchema, "in the order of the request")
