"""What several boards that hold one model together take, send and give, before anybody buys a switch."""
