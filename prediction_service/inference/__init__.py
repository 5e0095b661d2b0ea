"""The model in use: predictor, champion, rejections, their metrics; knows neither Flask nor journal."""
