"""What the API answers to some 300 requests, recorded, so that the code behind it can be rearranged.

    requests.txt   what is asked, by section; each section has its own settings and moment
    answers.txt    what was answered: status, headers, body; `make golden` records it anew, on purpose
    market         the stores that the answers come from: the same bars everywhere and always
    table          reads requests.txt
    asking         puts the requests to an application
    comparison     writes and reads answers.txt, and says in lines where two recordings differ

Of the application only what its users know is touched: `create_app`, its settings, its commands, HTTP, and the tables
and files whose format is documented. What lies behind may be moved and renamed freely.
"""
